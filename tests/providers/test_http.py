"""One bounded exchange with a vendor: what a hostile or broken server can and cannot do."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from omi.core.errors import ErrorKind, Outcome, ProviderError
from transcription.vendors.batch import http
from transcription.vendors.batch.http import exchange

Serve = Callable[[int, dict[str, str], bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve one fixed answer; ``.hits`` of the returned URL's server are counted by path."""
    running: list[HTTPServer] = []

    def start(status: int, headers: dict[str, str], body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # the client has seen enough

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def failure(url: str, timeout: float = 5.0) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        exchange("vendor", "GET", url, timeout=timeout)
    return caught.value


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"<html></html>", b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_not_json_is_a_broken_answer(serve: Serve, body: bytes) -> None:
    error = failure(serve(200, {}, body))
    assert (error.kind, error.outcome, error.code) == (
        ErrorKind.TRANSIENT,
        Outcome.UPSTREAM_ERROR,
        "broken_answer",
    )


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"a": NaN}', {"a": None}),
        (b'{"a": -Infinity}', {"a": None}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
    ],
)
def test_what_one_field_has_wrong_does_not_cost_the_answer(serve: Serve, body: bytes, read: object) -> None:
    """It was paid for."""
    assert exchange("vendor", "GET", serve(200, {}, body), timeout=5).body == read


def test_a_byte_order_mark_is_forgiven(serve: Serve) -> None:
    assert exchange("vendor", "GET", serve(200, {}, b'\xef\xbb\xbf{"a": 1}'), timeout=5).body == {"a": 1}


def test_a_body_over_the_limit_is_not_read_to_its_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1_000_000)
    assert failure(serve(200, {}, b" " * 1_000_001)).code == "too_large"


def test_a_gzip_bomb_is_stopped_by_its_unpacked_size(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1_000_000)
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    assert failure(serve(200, {"Content-Encoding": "gzip"}, bomb)).code == "too_large"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused_and_not_followed(serve: Serve, status: int) -> None:
    """The key and the audio must not be led to a private host."""
    inside = serve(200, {}, b'{"secret": 1}')
    error = failure(serve(status, {"Location": inside}, b""))
    assert (error.kind, error.outcome, error.code) == (ErrorKind.PERMANENT, Outcome.CONFIG_ERROR, "redirect")


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1/x", "not a url"])
def test_an_address_that_is_none_is_an_error_of_ours(url: str) -> None:
    assert failure(url).kind is ErrorKind.TRANSIENT


def test_an_error_status_with_a_page_instead_of_json_keeps_its_status(serve: Serve) -> None:
    answer = exchange("vendor", "GET", serve(503, {"Retry-After": "9"}, b"<html>"), timeout=5)
    assert (answer.status, answer.fields) == (503, {})
