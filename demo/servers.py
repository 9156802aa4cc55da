"""The real servers, as processes of their own: ``daphne`` and ``manage.py qcluster`` on a data folder of the demo's."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent


class DemoError(Exception):
    """A part of the demo did not happen. The text is one clear sentence."""


@dataclass(frozen=True)
class Installation:
    """A running installation: where it listens, where it keeps its things, and what a command needs to join it."""

    url: str
    folder: Path
    environment: dict[str, str]
    web_pid: int
    worker_pid: int = 0

    def manage(self, *arguments: str) -> str:
        return _manage(self.environment, *arguments)


@contextmanager
def installation(
    folder: Path,
    *,
    timeout: float = 60.0,
    settings: Mapping[str, str] | None = None,
    port: int | None = None,
    database: Path | None = None,
    staff: bool = True,
) -> Iterator[Installation]:
    """Start web and worker on an empty ``folder``; stop both, children included, at the end.

    ``settings`` are environment variables beside those of this process; ``port`` is where to listen (any free one);
    ``database`` a migrated SQLite file to begin with (it is copied), else one is made; ``staff`` whether somebody of
    the staff is made, who may open the console.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"Another demo is using {folder}; wait until it has ended") from None
        with _running(folder, timeout, settings or {}, port or _free_port(), database, staff) as running:
            yield running


@contextmanager
def _running(
    folder: Path, timeout: float, settings: Mapping[str, str], port: int, database: Path | None, staff: bool
) -> Iterator[Installation]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = {**_environment(folder, port), **settings}
    if database is None:
        _manage(environment, "migrate", "--verbosity", "0")
    else:
        shutil.copyfile(database, folder / "omi.sqlite3")
    if staff:
        _manage(environment, "staffuser")
    web = _start(
        folder / "web.log", environment, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "omi.asgi:application"
    )
    worker = _start(folder / "worker.log", environment, "manage.py", "qcluster", "--skip-checks")
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, web, worker, folder, timeout)
        yield Installation(url, folder, environment, web.pid, worker.pid)
    finally:
        for process in (web, worker):
            _stop(process)


def _environment(folder: Path, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "OMI_DATA_DIR": str(folder),
        "OMI_PORT": str(port),
        "OMI_LOG_FORMAT": "console",
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        # Two processes that each load NumPy must not fight over two cores.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def command(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py ARGUMENTS`` in an installation's environment, whatever comes of it."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _manage(environment: dict[str, str], *arguments: str) -> str:
    done = command(environment, *arguments)
    if done.returncode != 0:
        raise DemoError(f"manage.py {arguments[0]} failed: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout


def _start(log: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def _wait_until_ready(
    url: str, web: subprocess.Popen[bytes], worker: subprocess.Popen[bytes], folder: Path, timeout: float
) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for name, process in (("web", web), ("worker", worker)):
            if process.poll() is not None:
                raise DemoError(f"The {name} server ended at once. Its last words: {_tail(folder / f'{name}.log')}")
        try:
            if httpx.get(f"{url}/readyz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise DemoError(f"The web server was not ready within {timeout:.0f} s: {_tail(folder / 'web.log')}")


def _stop(process: subprocess.Popen[bytes], grace: float = 20.0) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)  # whatever the server left behind
    except ProcessLookupError:
        pass
    process.wait(5)


def _tail(log: Path) -> str:
    return " ".join(log.read_text(errors="replace").split())[-600:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
