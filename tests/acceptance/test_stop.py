"""Ctrl-C in ``manage.py serve`` (what ``make serve`` runs) in the middle of everything loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from demo.servers import ROOT
from omi.accounts import tokens
from tests.acceptance.wire import App, listen
from tests.support import sound
from tests.support.processes import free_port

pytestmark = pytest.mark.process

STOPS_WITHIN = 45.0
"""Seconds: the drain of the sockets, the worker's grace of 30, and a slow machine."""


@contextmanager
def serve(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """``manage.py serve`` in a session of its own, ready to answer."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OMI_")},
        "DJANGO_SETTINGS_MODULE": "omi.settings",
        "OMI_DATA_DIR": str(folder),
        "OMI_LOG_FORMAT": "console",
        "OPENBLAS_NUM_THREADS": "1",
    }
    with (folder / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            if process.poll() is not None or time.monotonic() > until:
                pytest.fail((folder / "serve.log").read_text()[-2000:])
            time.sleep(0.2)
        yield process
    finally:
        for pid in [*family(process.pid), process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait(10)


def family(pid: int) -> set[int]:
    """Every process below ``pid``, whatever group or session it moved to."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def interrupt(process: subprocess.Popen[bytes]) -> set[int]:
    """Ctrl-C as the terminal sends it; the processes that are still there afterwards."""
    below = family(process.pid)
    assert len(below) >= 4  # daphne, the cluster, its workers
    process.send_signal(signal.SIGINT)
    assert process.wait(STOPS_WITHIN) == 0
    until = time.monotonic() + 5
    while (left := {pid for pid in below if alive(pid)}) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def test_ctrl_c_in_the_middle_of_a_session_and_of_a_run_loses_nothing(tmp_path: Path, talk: bytes) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with serve(tmp_path, port) as process:
        app, other = App(url, "speaks", tokens.mint("speaks")), App(url, "uploads", tokens.mint("uploads"))
        made = other.create_memory()
        path = f"/v1/memories/{made['id']}"
        with listen(url, app.token) as socket:
            for start in range(0, 12 * 32000, 3200):
                socket.send(talk[start : start + 3200])
            socket.event("new_processing_memory_created", seconds=40)
            assert other.upload(f"{path}/post-processing", sound.wav(talk[: 20 * 32000])).status_code == 200
            run = other.wait(f"{path}/post-processing", lambda run: run["state"] == "running", 30)
            assert run["kind"] == "postprocess"
            process.send_signal(signal.SIGINT)
            try:
                assert socket.closed(30) == 1012  # "service restart": the app comes back
            except ConnectionClosed as error:
                raise AssertionError("the socket was cut") from error
        below = family(process.pid)
        began = time.monotonic()
        assert process.wait(STOPS_WITHIN) == 0, (tmp_path / "serve.log").read_text()[-2000:]
        assert time.monotonic() - began < STOPS_WITHIN
        time.sleep(0.5)
        assert not {pid for pid in below if alive(pid)}, "processes were left behind"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/healthz", timeout=2)

    with serve(tmp_path, port) as process:
        event = app.events({"new_memory_created"}, seconds=60)
        spoken = " ".join(item["text"] for item in event["memory"]["transcript_segments"])
        assert len(spoken.split()) > 10
        assert event["memory"]["transcript_segments"][-1]["end"] > 9
        done = other.wait(
            f"{path}/post-processing", lambda run: run["kind"] == "postprocess" and run["state"] == "finished", 120
        )
        assert done["outcome"] == "success", done
        assert done["id"] == run["id"]  # taken up where it stood, not begun anew
        assert other.get(path).json()["postprocessing"]["status"] == "completed"
        assert len(app.get("/v1/memories").json()) == len(other.get("/v1/memories").json()) == 1
        assert interrupt(process) == set()
    text = (tmp_path / "serve.log").read_text(errors="replace")
    assert "Traceback" not in text, text[max(0, text.find("Traceback") - 500) :][:3000]
