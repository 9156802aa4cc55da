"""Over the real wire: daphne in a process of its own. What a test client cannot show: reading, streaming, closing."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import create
from tests.support.servers import LIMIT, WebServer
from tests.support.sound import tone

pytestmark = pytest.mark.process


def test_an_upload_is_taken_and_a_second_later_it_can_be_asked_for(wired: httpx.Client) -> None:
    memory = create(wired)
    url = f"/v1/memories/{memory['id']}/post-processing"
    began = time.monotonic()
    answer = wired.post(url, files={"file": ("a.wav", tone(11), "audio/wav")})
    assert time.monotonic() - began < 10
    assert (answer.status_code, answer.json()["postprocessing"]["status"]) == (200, "in_progress")
    assert wired.get(url).json()["state"] == "queued"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (tone(3), "too_short"),
        (b"hello there" * 90, "not_audio"),
        (tone(11)[:20] + b"\x77\x77" + tone(11)[22:], "unknown_codec"),
    ],
    ids=["empty", "too short", "a letter", "another codec"],
)
def test_a_bad_upload_is_400_and_the_memory_unharmed(wired: httpx.Client, content: bytes, code: str) -> None:
    memory = create(wired)
    url = f"/v1/memories/{memory['id']}"
    before = wired.get(url).json()
    answer = wired.post(f"{url}/post-processing", files={"file": ("a.wav", content, "audio/wav")})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert wired.get(url).json() == before


def raw(server: WebServer, head: str, pieces: Iterator[bytes]) -> tuple[bytes, int]:
    """Send a request piece by piece until the server answers; the answer and how much was sent."""
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        wire.sendall(head.encode())
        wire.settimeout(0.01)
        for piece in pieces:
            try:
                answer = wire.recv(65536)
                return answer, sent
            except TimeoutError:
                pass
            wire.settimeout(20)
            wire.sendall(piece)
            sent += len(piece)
            wire.settimeout(0.01)
        wire.settimeout(20)
        return wire.recv(65536), sent


def head(wired: httpx.Client, memory: str, *more: str) -> str:
    lines = [
        f"POST /v1/memories/{memory}/post-processing HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: {wired.headers['Authorization']}",
        "Content-Type: multipart/form-data; boundary=b",
        *more,
    ]
    return "\r\n".join(lines) + "\r\n\r\n"


def test_too_large_by_its_declaration_is_refused_before_it_is_sent(server: WebServer, wired: httpx.Client) -> None:
    memory = create(wired)["id"]
    pieces = (b"x" * 10_000 for _ in range(1000))
    answer, sent = raw(server, head(wired, memory, "Content-Length: 10000000"), pieces)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["code"] == "too_large"
    assert sent < LIMIT


def test_too_large_without_a_declaration_is_refused_while_it_is_read(server: WebServer, wired: httpx.Client) -> None:
    memory = create(wired)["id"]
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    chunks = [part, *(b"x" * 20_000 for _ in range(500))]
    pieces = (f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in chunks)
    answer, sent = raw(server, head(wired, memory, "Transfer-Encoding: chunked"), pieces)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent < 3 * LIMIT
    assert wired.get(f"/v1/memories/{memory}").json()["postprocessing"] is None


def test_an_ordinary_client_reads_the_413(wired: httpx.Client) -> None:
    memory = create(wired)["id"]
    with httpx.Client(base_url=wired.base_url, headers=wired.headers, timeout=30) as own:
        answer = own.post(f"/v1/memories/{memory}/post-processing", files={"file": ("a.wav", tone(60), "audio/wav")})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_events_arrive_while_the_stream_is_open_and_are_not_lost_when_it_was_closed(server: WebServer) -> None:
    with server.app("listener") as app:
        create(app)
        create(app)
        with app.stream("GET", "/v1/events", params={"after": 0}) as stream:
            assert stream.headers["Content-Type"].startswith("text/event-stream")
            first = frames(stream, 2)
        assert [event["event_number"] for event in first] == [1, 2]
        assert first[0]["memory"]["id"] == first[0]["memory_id"]
        with app.stream("GET", "/v1/events", headers={"Last-Event-ID": "1"}) as stream:
            lines = stream.iter_lines()
            assert frame(lines)["event_number"] == 2
            with server.app("listener") as other:
                began = time.monotonic()
                made = create(other)
            assert frame(lines)["memory_id"] == made["id"]
            assert time.monotonic() - began < 8
        assert app.get("/v1/events", params={"after": "x"}).status_code == 422


def frames(stream: httpx.Response, count: int) -> list[dict[str, Any]]:
    lines = stream.iter_lines()
    return [frame(lines) for _ in range(count)]


def frame(lines: Iterator[str]) -> dict[str, Any]:
    for line in lines:
        if line.startswith("data:"):
            found: dict[str, Any] = json.loads(line[5:])
            return found
    raise AssertionError("the stream ended")


def test_a_stranger_and_no_token_on_the_wire(server: WebServer, wired: httpx.Client) -> None:
    memory = create(wired)["id"]
    with server.app("bob") as bob:
        assert bob.get(f"/v1/memories/{memory}").status_code == 404
    assert httpx.get(f"{wired.base_url}/v1/memories/{memory}").status_code == 401
