"""What an SDK's HTTP client reads has an end, packed or not."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import httpx
import pytest

from omi.core.bounded_http import bounded_transport

LIMIT = 100_000


def client(
    headers: dict[str, str], body: bytes, seen: Callable[[httpx.Request], None] = lambda _: None
) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        seen(request)
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(body))

    inner = httpx.MockTransport(answer)
    return httpx.Client(transport=bounded_transport(httpx, inner, timeout=5.0, max_body=LIMIT))


def test_packed_answers_are_not_asked_for() -> None:
    asked: list[httpx.Request] = []
    client({}, b"plain", asked.append).get("http://vendor.test/")
    assert asked[0].headers["accept-encoding"] == "identity"


def test_a_packed_answer_is_read_all_the_same() -> None:
    for name, packed in (("gzip", gzip.compress(b"words")), ("deflate", zlib.compress(b"words"))):
        assert client({"Content-Encoding": name}, packed).get("http://vendor.test/").content == b"words"


def test_a_gzip_bomb_ends_at_the_limit_of_what_is_unpacked() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < LIMIT
    with pytest.raises(httpx.ReadError, match="longer"):
        client({"Content-Encoding": "gzip"}, bomb).get("http://vendor.test/")


def test_what_cannot_be_unpacked_is_an_error_of_the_vendor() -> None:
    for name, body in (("gzip", b"no gzip at all"), ("br", b"\x0b\x02\x80words\x03")):
        with pytest.raises(httpx.ReadError, match="packed"):
            client({"Content-Encoding": name}, body).get("http://vendor.test/")
