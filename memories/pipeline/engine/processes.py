"""Worker processes by name: which machine, which process, whether it lives; and the end of one that hangs."""

from __future__ import annotations

import os
import signal
import socket
import threading
from functools import cache
from pathlib import Path

import structlog

from omi.core.host import host_id, several

log = structlog.get_logger(__name__)


@cache
def machine() -> str:
    """This machine and its process namespace: within it a process id means one process."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        namespace = "0"
    name = host_id() if several() else socket.gethostname()
    return f"{name.replace(':', '-')[:60]}:{namespace}"


def worker_name() -> str:
    """Return the name of this thread as a worker: ``machine:namespace:pid:thread``."""
    return f"{machine()}:{os.getpid()}:{threading.get_ident() % 100000}"


def process_id(owner: str) -> int | None:
    """The process of ``owner`` (a ``worker_name``) where it is one of this machine."""
    if not owner.startswith(f"{machine()}:"):
        return None
    try:
        return int(owner.split(":")[2])
    except (ValueError, IndexError):
        return None


def lives(owner: str) -> bool:
    """Whether the process of ``owner`` lives, as far as this machine can tell."""
    pid = process_id(owner)
    if pid is None:
        return True  # not ours to judge
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def end_hung(owner: str, *, run_id: int) -> bool:
    """Kill the worker process of ``owner``, whose lease ran out while it lived: it hangs, and takes no other run.

    Only a process of this machine and of the same program's group of processes; never this one. Its calls that are out
    are lost with it, as with any worker that dies.
    """
    pid = process_id(owner)
    if pid is None or pid == os.getpid() or not _is_worker(pid):
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    log.error("worker_ended", reason="its lease ran out while it lived", pid=pid, run_id=run_id)
    return True


def _is_worker(pid: int) -> bool:
    """A process id may have been given to another program since."""
    try:
        return b"qcluster" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
