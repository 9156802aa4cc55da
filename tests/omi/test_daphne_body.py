"""Large request bodies over a real daphne: they reach the application whole, in pieces, and never sit in memory."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from omi.serving.body import PIECE
from tests.support.servers import WebServer, web_server

pytestmark = pytest.mark.process
MEGABYTE = 1_000_000
STARTED = "2026-11-22T10:00:00Z"


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WebServer, Path]]:
    folder = tmp_path_factory.mktemp("probe")
    file = folder / "told.json"
    application = "tests.omi.body_probe:application"
    with web_server(folder, application=application, database=False, PROBE_FILE=str(file)) as server:
        yield server, file


@pytest.mark.parametrize(
    "size", [0, 1, 99_999, 100_000, 100_001, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7]
)
def test_a_body_arrives_as_it_was_sent(probe: tuple[WebServer, Path], size: int) -> None:
    content = os.urandom(size)
    for body in (content, iter([content[: size // 2], content[size // 2 :]])):  # declared, and chunked
        told = httpx.post(probe[0].url, content=body, timeout=30).json()
        assert told["sha256"] == hashlib.sha256(content).hexdigest()
        assert max(told["sizes"]) <= PIECE
        assert told["ended_with"] == "http.request"


def test_two_requests_of_one_connection_keep_their_own_bodies(probe: tuple[WebServer, Path]) -> None:
    with httpx.Client(base_url=probe[0].url, timeout=30) as client:
        for content in (os.urandom(500_000), b"small", os.urandom(300_000), b""):
            assert client.post("/", content=content).json()["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_client_that_leaves_is_noticed_between_two_pieces(probe: tuple[WebServer, Path]) -> None:
    server, file = probe
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + bytes(4_000_000))
        _until(file.exists)
    _until(lambda: file.read_text().startswith("{"))
    told = json.loads(file.read_text())
    assert told["ended_with"] == "http.disconnect"
    assert len(told["sizes"]) == 2


def test_a_large_upload_does_not_sit_in_the_web_process(tmp_path: Path) -> None:
    """A recording of four hours must not sit in memory. It was 150 MB for 150 MB."""
    segment = {"text": "Hello there", "speaker": "SPEAKER_00", "is_user": True, "start": 0, "end": 2}
    given = {"started_at": STARTED, "finished_at": STARTED, "transcript_segments": [segment]}
    with (
        web_server(tmp_path, OMI_MAX_UPLOAD_BYTES=str(200 * MEGABYTE)) as server,
        server.app("somebody") as app,
    ):
        made = app.post("/v1/memories?trigger_integrations=false", json=given)
        path = f"/v1/memories/{made.json()['memory']['id']}/post-processing"
        before = 0
        for megabytes in (1, 120):  # the first loads what an upload needs
            file = tmp_path / "talk.wav"
            with file.open("wb") as out:
                out.truncate(megabytes * MEGABYTE)
            before = server.peak()
            with file.open("rb") as content:
                answer = app.post(path, files={"file": ("talk.wav", content, "audio/wav")})
            assert (answer.status_code, answer.json()["code"]) == (400, "not_audio"), answer.text
        weight = server.peak() - before
    assert weight < 40 * MEGABYTE


def _until(true: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
