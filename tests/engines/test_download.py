"""Fetching over HTTP from a publisher on this machine that redirects, breaks off and refuses; the real one is never
asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from transcription.engines import download
from transcription.engines.models import CATALOGUE, ModelCard
from transcription.engines.whisper.files import sha256

CONTENT = b"weights " * 5000


class Publisher(BaseHTTPRequestHandler):
    """Answers by the last part of the path: config.json moved, model.bin as ``model`` says."""

    model = "whole"

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[1]
        if name == "model.bin" and self.model == "gone":
            self.send_error(404)
            return
        if name == "config.json" and "moved" not in self.path:
            self.send_response(302)
            self.send_header("Location", f"/moved/{name}")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        half = name == "model.bin" and self.model == "half"
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if half else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output quiet."""


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Publisher]]:
    handler = type("OnePublisher", (Publisher,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(download, "_FOLDERS", f"http://127.0.0.1:{server.server_port}")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    small = next(card for card in CATALOGUE if card.name == "whisper-small")
    (tmp_path / "content").write_bytes(CONTENT)
    right = dict.fromkeys(small.sha256, sha256(tmp_path / "content"))
    return ModelCard(**{field: getattr(small, field) for field in small.__slots__} | {"sha256": right})


def test_a_model_is_fetched_over_a_redirect(publisher: type[Publisher], card: ModelCard, tmp_path: Path) -> None:
    place = download.fetch(card, tmp_path / "models", progress=lambda _: None)
    assert {item.name: item.read_bytes() for item in place.iterdir()} == dict.fromkeys(card.sha256, CONTENT)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("half", r"^model\.bin cannot be fetched from here \(\w+\)\.$"),
        ("gone", r"^The publisher answered 404 for model\.bin\."),
    ],
)
def test_a_download_that_breaks_off_is_one_sentence_and_leaves_no_model(
    model: str, said: str, publisher: type[Publisher], card: ModelCard, tmp_path: Path
) -> None:
    publisher.model = model
    with pytest.raises(download.DownloadError, match=said):
        download.fetch(card, tmp_path / "models", progress=lambda _: None)
    assert [path.name for path in (tmp_path / "models").rglob("model.bin*")] == []
    publisher.model = "whole"
    assert (download.fetch(card, tmp_path / "models", progress=lambda _: None) / "model.bin").read_bytes() == CONTENT


def test_a_publisher_that_does_not_answer_is_one_sentence(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_FOLDERS", "http://127.0.0.1:1")
    with pytest.raises(download.DownloadError, match=r"cannot be fetched from here \(ConnectError\)"):
        download.fetch(card, tmp_path / "models", progress=lambda _: None)
