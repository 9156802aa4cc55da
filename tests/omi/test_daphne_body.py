"""Large request bodies over a real daphne: they reach the application whole, in pieces, and never sit in memory."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.servers import ROOT
from omi.serving.body import PIECE
from tests.support.processes import free_port, listens, running

pytestmark = pytest.mark.process
MEGABYTE = 1_000_000
STARTED = "2026-11-22T10:00:00Z"


def peak(pid: int) -> float:
    """The most that was ever resident, in megabytes."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / MEGABYTE


@contextmanager
def daphne(folder: Path, application: str, **environment: str) -> Iterator[tuple[str, int]]:
    """Address and process id."""
    port = free_port()
    clean = {"DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    with running(
        [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), application],
        ready=lambda: listens(port),
        log=folder / "web.log",
        env={**clean, **environment},
    ) as process:
        yield f"http://127.0.0.1:{port}", process.pid


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int, Path]]:
    folder = tmp_path_factory.mktemp("probe")
    file = folder / "told.json"
    with daphne(folder, "tests.omi.body_probe:application", PROBE_FILE=str(file)) as (address, pid):
        yield address, pid, file


@pytest.mark.parametrize(
    "size", [0, 1, 99_999, 100_000, 100_001, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7]
)
def test_a_body_arrives_as_it_was_sent(probe: Any, size: int) -> None:
    content = os.urandom(size)
    for body in (content, iter([content[: size // 2], content[size // 2 :]])):  # declared, and chunked
        told = httpx.post(probe[0], content=body, timeout=30).json()
        assert told["sha256"] == hashlib.sha256(content).hexdigest()
        assert max(told["sizes"]) <= PIECE
        assert told["ended_with"] == "http.request"


def test_two_requests_of_one_connection_keep_their_own_bodies(probe: Any) -> None:
    with httpx.Client(base_url=probe[0], timeout=30) as client:
        for content in (os.urandom(500_000), b"small", os.urandom(300_000), b""):
            assert client.post("/", content=content).json()["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_client_that_leaves_is_noticed_between_two_pieces(probe: Any) -> None:
    address, _, file = probe
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        client.sendall(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n" + bytes(4_000_000))
        _until(file.exists)
    _until(lambda: file.read_text().startswith("{"))
    told = json.loads(file.read_text())
    assert told["ended_with"] == "http.disconnect"
    assert len(told["sizes"]) == 2


def test_a_large_upload_does_not_sit_in_the_web_process(tmp_path: Path, record_property: Any) -> None:
    """Issue 5: "a 4-hour upload must not sit in memory". It was 150 MB for 150 MB."""
    settings = {"OMI_LOG_LEVEL": "WARNING", "SECRET_KEY": "k" * 50}
    plain = {"DJANGO_SETTINGS_MODULE": "omi.settings", "OMI_DATA_DIR": str(tmp_path), **settings}
    token = _manage(plain, "migrate", "-v0") or _manage(plain, "devtoken", "somebody").strip()
    segment = {"text": "Hello there", "speaker": "SPEAKER_00", "is_user": True, "start": 0, "end": 2}
    given = {"started_at": STARTED, "finished_at": STARTED, "transcript_segments": [segment]}
    with (
        daphne(tmp_path, "omi.asgi:application", **settings) as (address, pid),
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=60) as app,
    ):
        made = app.post("/v1/memories?trigger_integrations=false", json=given)
        path = f"/v1/memories/{made.json()['memory']['id']}/post-processing"
        before = 0.0
        for megabytes in (1, 120):  # the first loads what an upload needs
            file = tmp_path / "talk.wav"
            with file.open("wb") as out:
                out.truncate(megabytes * MEGABYTE)
            before = peak(pid)
            with file.open("rb") as content:
                answer = app.post(path, files={"file": ("talk.wav", content, "audio/wav")})
            assert (answer.status_code, answer.json()["code"]) == (400, "not_audio"), answer.text
        weight = peak(pid)
    print(f"an upload of 120 MB adds {weight - before:.1f} MB to {before:.0f} MB")
    record_property("upload_megabytes", round(weight - before, 1))
    assert weight - before < 40


def _manage(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    whole = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=whole, capture_output=True, text=True, timeout=120, check=True).stdout


def _until(true: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
