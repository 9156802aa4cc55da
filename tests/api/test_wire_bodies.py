"""Bodies on the real wire: chunked ones are read, those of strangers are refused before they are."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.api.conftest import create
from tests.support.servers import LIMIT, WebServer
from tests.support.sound import tone

pytestmark = pytest.mark.process
BODY = {
    "started_at": "2026-11-20T10:00:00Z",
    "finished_at": "2026-11-20T10:01:00Z",
    "transcript_segments": [
        {"text": "We buy bread and milk.", "speaker": "SPEAKER_00", "is_user": True, "start": 0, "end": 4}
    ],
}
SHARE = 0.6
"""Of the body that a stranger declares: more than that is never taken from the wire before the refusal."""


def pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    """httpx sends an iterator with ``Transfer-Encoding: chunked``."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("words", [1, 20_000])
def test_a_chunked_json_body_is_read(wired: httpx.Client, words: int) -> None:
    body = json.loads(json.dumps(BODY))
    body["transcript_segments"][0]["text"] = "bread " * words
    answer = wired.post(
        "/v1/memories?trigger_integrations=false",
        content=pieces(json.dumps(body).encode()),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["memory"]["transcript_segments"][0]["text"].split()) == words


def test_a_chunked_upload_is_read(wired: httpx.Client) -> None:
    memory = create(wired)["id"]
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + tone(11) + b"\r\n--b--\r\n"
    answer = wired.post(
        f"/v1/memories/{memory}/post-processing",
        content=pieces(form, 30_000),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert (answer.status_code, answer.json()["postprocessing"]["status"]) == (200, "in_progress")


def sent_before_answer(server: WebServer, path: str, headers: list[str], size: int) -> tuple[bytes, int]:
    """Send ``size`` bytes, slowly enough for an answer to arrive; the answer, and how much was sent by then."""
    head = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        wire.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        sent, until = 0, time.monotonic() + 60
        while sent < size and time.monotonic() < until:
            wire.settimeout(0.05)
            try:
                return wire.recv(65536), sent
            except TimeoutError:
                wire.settimeout(20)
                wire.sendall(b"x" * min(size - sent, 10_000))
                sent += 10_000
        wire.settimeout(20)
        return wire.recv(65536), sent


MULTIPART = "Content-Type: multipart/form-data; boundary=b"
FORM = "Content-Type: application/x-www-form-urlencoded"
FORGED = "Authorization: Bearer eyJ1aWQiOiJhIn0:1abcde:forged"


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ([MULTIPART, f"Content-Length: {LIMIT}"], "Authorization header not found"),
        ([MULTIPART, f"Content-Length: {LIMIT}", "Authorization: Basic YTpi"], "Authorization header not found"),
        ([MULTIPART, f"Content-Length: {LIMIT}", FORGED], "Invalid authorization token"),
        ([MULTIPART, "Transfer-Encoding: chunked", FORGED], "Invalid authorization token"),
        (["Content-Type: application/json", f"Content-Length: {LIMIT}"], "Authorization header not found"),
        ([FORM, f"Content-Length: {LIMIT}"], "Authorization header not found"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v1/memories/m/post-processing", "/v1/public-memories", "/nowhere", "/admin/login/"])
def test_a_strangers_body_is_refused_before_it_is_read(
    server: WebServer, path: str, headers: list[str], sentence: str
) -> None:
    answer, sent = sent_before_answer(server, path, headers, LIMIT)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401 "), answer[:300]
    assert json.loads(body)["detail"] == sentence
    assert sent < SHARE * LIMIT


def test_a_callback_without_a_signature_is_refused_before_it_is_read(server: WebServer) -> None:
    headers = ["Content-Type: application/json", f"Content-Length: {LIMIT}"]
    answer, sent = sent_before_answer(server, "/v1/vendors/fal/webhook", headers, LIMIT)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert sent < SHARE * LIMIT


def test_small_bodies_of_strangers_get_the_applications_own_answer(server: WebServer) -> None:
    answer = httpx.post(f"http://127.0.0.1:{server.port}/v1/memories?trigger_integrations=false", json=BODY)
    assert (answer.status_code, answer.json()["detail"]) == (401, "Authorization header not found")


def test_a_body_that_arrives_whole_with_its_head_waits_for_the_look_at_the_token(
    server: WebServer, wired: httpx.Client
) -> None:
    """100 kB in one segment of the loopback: all of it is there before the token was looked at."""
    body = json.loads(json.dumps(BODY))
    body["transcript_segments"][0]["text"] = "bread " * 17_000
    for token, status in ((wired.headers["Authorization"], 200), ("Bearer forged", 401)):
        answer = httpx.post(
            f"http://127.0.0.1:{server.port}/v1/memories?trigger_integrations=false",
            json=body, headers={"Authorization": token}, timeout=30,
        )  # fmt: skip
        assert answer.status_code == status
