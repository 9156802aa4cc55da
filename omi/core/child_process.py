"""Children that run native code away from web process and workers: their start, their time, and their end.

Whose child it is says which module it runs and how it is talked to; what is the same for all of them is here. It
imports no Django: the children's own modules may import it.
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
