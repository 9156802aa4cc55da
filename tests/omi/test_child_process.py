"""Children of ours: found from any folder, ended in time, and ended without a word about what they did not read."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from omi.core import child_process
from omi.core.errors import ErrorKind


def child(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_modules_are_found_beside_those_that_the_parent_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    assert child_process.environment()["PYTHONPATH"].split(os.pathsep) == [str(child_process.ROOT), "/somewhere/else"]
    monkeypatch.delenv("PYTHONPATH")
    assert child_process.environment()["PYTHONPATH"] == str(child_process.ROOT)


@pytest.mark.parametrize(("seconds", "late"), [(0.2, True), (60.0, False)])
def test_a_child_that_takes_too_long_is_killed_and_that_is_told(seconds: float, late: bool) -> None:
    process = child("import time; time.sleep(30)" if late else "")
    began = time.monotonic()
    with child_process.killed_after(process, seconds) as told:
        process.wait()
    child_process.end(process)
    assert told.is_set() is late
    assert time.monotonic() - began < 20


def test_the_end_of_a_child_that_read_nothing_raises_nothing() -> None:
    process = child("")
    process.wait()
    assert process.stdin is not None
    process.stdin.write(b"1234")  # into the buffer: what is left there is written once more when the pipe is closed
    with pytest.raises(BrokenPipeError):
        process.stdin.flush()
    child_process.end(process)
    assert process.stdin.closed


@pytest.mark.parametrize(
    ("code", "kind"),
    [(None, ErrorKind.TRANSIENT), (-9, ErrorKind.TRANSIENT), (1, ErrorKind.PERMANENT), (-11, ErrorKind.PERMANENT)],
)
def test_what_ends_by_itself_will_do_so_again(code: int | None, kind: ErrorKind) -> None:
    error = child_process.not_started("voices", code, "it did not start")
    assert (error.kind, error.code) == (kind, "" if code is None else f"exit {code}")
