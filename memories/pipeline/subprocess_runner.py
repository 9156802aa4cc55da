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
import sys
import traceback
from typing import IO, Any, Final

from omi.core import child_process
from omi.core.errors import MissingDependency, Outcome, OwnFault

IDLE: Final = 60.0
TOO_LONG: Final = "child_timeout"
"""Code of the error of work that took longer than its limit: the same work will do so again."""


class Crashed(Exception):
    """The function raised something: a fault of ours. The child's traceback is the text."""


def _new_child() -> child_process.KeptChild:
    """It is told whose it is: it ends with this process."""
    return child_process.KeptChild("memories.pipeline.subprocess_runner", str(os.getpid()))


_child = _new_child()


def _forked() -> None:
    """The lock may be held by a thread that this copy of the process has not."""
    global _child
    _child = _new_child()


os.register_at_fork(after_in_child=_forked)


def call(function: str, arguments: dict[str, Any], *, timeout: float) -> Any:
    """Call ``function`` in the child process and return its answer; raises OwnFault (the child died, or took longer
    than ``timeout`` seconds: ``TOO_LONG``), MissingDependency, or Crashed."""
    request = json.dumps({"function": function, "arguments": arguments}).encode() + b"\n"
    answer = json.loads(_asked_of(_child, request, timeout))
    if "missing" in answer:
        raise MissingDependency(*answer["missing"])
    if "crashed" in answer:
        raise Crashed(answer["crashed"])
    return answer["answer"]


def _asked_of(child: child_process.KeptChild, request: bytes, timeout: float) -> bytes:
    with child.lock:
        for _ in range(2):  # a child that idled may have ended just now: one fresh start
            process, fresh = child.running()
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
            code = child.end(grace=1.0)
            if late.is_set():
                raise OwnFault("the work took too long", code=TOO_LONG, outcome=Outcome.TIMEOUT)
            if fresh or code != 0:
                raise OwnFault("the work ended unexpectedly", code=f"child_exit_{code}")
        raise OwnFault("the work did not start", code="child_start")


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
