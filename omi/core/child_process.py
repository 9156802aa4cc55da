"""Children that run native code away from web process and workers: their start, their time, and their end.

Whose child it is says which module it runs and how it is talked to; what is the same for all of them is here. It
imports no Django: the children's own modules may import it. Why they are talked to in three ways: docs/decisions/0023.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from omi.core.errors import ErrorKind, Outcome, ProviderError

ROOT = Path(__file__).resolve().parents[2]


def command(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs a module of the project in a child with this Python."""
    return [sys.executable, "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return the environment of a child process: one thread each, so that N children do not start N times the cores'
    number of threads; found from any folder."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, **threads, "PYTHONPATH": path}


@contextlib.contextmanager
def killed_after(process: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Kill the child where the block takes longer: reads and writes that wait for it then end. The event says so."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    watchdog = threading.Timer(seconds, kill)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield late
    finally:
        watchdog.cancel()


def end(process: subprocess.Popen[bytes]) -> None:
    """Whatever the child is doing. What was not written to it yet is of no use any more."""
    process.kill()
    process.wait(timeout=10)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


class KeptChild:
    """One child that is kept for many questions: started with the first one, and anew where it has ended.

    Whoever asks holds ``lock`` from the question to its answer: the child answers one after the other. A forked copy of
    this process starts a child of its own, and leaves its parent's alone.
    """

    def __init__(self, module: str, *arguments: str, cwd: Path | None = None) -> None:
        self.lock = threading.Lock()
        self._command = command(module, *arguments)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def running(self) -> tuple[subprocess.Popen[bytes], bool]:
        """Return the child, and whether it was started just now."""
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process, False
        self.end()
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self._cwd, env=environment()
        )
        return self._process, True

    def end(self, grace: float = 0.0) -> int | None:
        """End the child, also one that has ended. Its exit code: 0 where it ended by itself within ``grace`` seconds;
        None where there is none, or it is the parent's of before a fork."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=grace)
        end(process)
        return process.returncode


def may_start_later(code: int | None) -> bool:
    """Return whether another start is worth trying of a child that was not ready; ``code``: how it ended, None where it
    lives on.

    Killed from outside (memory, time) it may start another time. What ends by itself will do so again: native code that
    meets a file it does not understand ends the process, with a code or a segmentation fault.
    """
    return code is None or code == -signal.SIGKILL


def not_started(vendor: str, code: int | None, sentence: str) -> ProviderError:
    """The error of a child that was not ready: transient, or of the configuration (``may_start_later``)."""
    told = f"exit {code}" if code is not None else ""
    if may_start_later(code):
        return ProviderError(vendor, sentence, kind=ErrorKind.TRANSIENT, code=told)
    return ProviderError(vendor, sentence, kind=ErrorKind.PERMANENT, code=told, outcome=Outcome.CONFIG_ERROR)
