"""Local work in a child process with a time limit: what crashes or hangs there does not take the worker along.

``call("memories.pipeline.audio_analysis.speech", {...}, timeout=60)`` hands the function its JSON arguments and
gives back its JSON answer. Each process keeps one child (without Django) for all of its calls, which it kills when
one takes longer than its limit: a regular expression that runs away holds the interpreter's lock, and nothing in the
same process could stop it. The child ends when nobody asks it anything for ``IDLE`` seconds, and with its parent.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from typing import IO, Any, Final

from omi.core import child_process
from omi.core.errors import MissingDependency, Outcome, OwnFault

IDLE: Final = 60.0
TOO_LONG: Final = "child_timeout"
"""Code of the error of work that took longer than its limit: the same work will do so again."""


class Crashed(Exception):
    """The function raised something: a fault of ours. The child's traceback is the text."""


class _Child:
    """The process, and whose it is: a forked copy of this one starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, request: bytes, timeout: float) -> bytes:
        with self._lock:
            for _ in range(2):  # a child that idled may have ended just now: one fresh start
                process, fresh = self._running()
                assert process.stdin is not None
                assert process.stdout is not None
                with child_process.killed_after(process, timeout) as late:
                    try:
                        process.stdin.write(request)
                        process.stdin.flush()
                        answer = process.stdout.readline()
                    except OSError:
                        answer = b""
                if answer.endswith(b"\n"):
                    return answer
                code = self._end()
                if late.is_set():
                    raise OwnFault("the work took too long", code=TOO_LONG, outcome=Outcome.TIMEOUT)
                if fresh or code != 0:
                    raise OwnFault("the work ended unexpectedly", code=f"child_exit_{code}")
            raise OwnFault("the work did not start", code="child_start")

    def _running(self) -> tuple[subprocess.Popen[bytes], bool]:
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process, False
        self._end()
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            child_process.command("memories.pipeline.subprocess_runner", str(os.getpid())), stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=child_process.environment(),
        )  # fmt: skip
        return self._process, True

    def _end(self) -> int | None:
        """Also of one that has ended. Its exit code: 0 where it ended by itself."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return None
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass
        child_process.end(process)
        return process.returncode


_child = _Child()


def _forked() -> None:
    global _child
    _child = _Child()


os.register_at_fork(after_in_child=_forked)


def call(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
    """Call ``function`` in the child process and return its answer; raises OwnFault (the child died, or took longer
    than ``timeout`` seconds: ``TOO_LONG``), MissingDependency, or Crashed."""
    request = json.dumps({"function": function, "arguments": arguments}).encode() + b"\n"
    answer = json.loads(_child.ask(request, timeout))
    if "missing" in answer:
        raise MissingDependency(*answer["missing"])
    if "crashed" in answer:
        raise Crashed(answer["crashed"])
    return answer["answer"]


# --- the child ---


def main() -> None:
    """Answer each line of standard input by one of standard output; what is printed goes to standard error."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != int(sys.argv[1]):  # it ended before it could be asked to take this one along
            return
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while _asked(source):
        line = source.readline()
        if not line:
            return
        target.write(_answer(line) + b"\n")
        target.flush()


def _asked(source: IO[bytes]) -> bool:
    return bool(select.select([source], [], [], IDLE)[0])


def _answer(line: bytes) -> bytes:
    request = json.loads(line)
    module, _, name = request["function"].rpartition(".")
    try:
        answer = getattr(importlib.import_module(module), name)(**request["arguments"])
        return json.dumps({"answer": answer}).encode()
    except MissingDependency as error:
        return json.dumps({"missing": [error.vendor, error.what, error.fix]}).encode()
    except Exception:
        return json.dumps({"crashed": traceback.format_exc()[-4000:]}).encode()


if __name__ == "__main__":
    main()
