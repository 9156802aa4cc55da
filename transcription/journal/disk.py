"""How the disk is told to keep what was written: one call for a file, or one for all files of a file system.

A busy process has a file a session. ``fdatasync`` of each makes the file system commit its own journal once for each
(measured with 40 sessions on ext4: 8 ms of CPU and a quarter of a second every second); ``syncfs`` commits once for all
(0.4 ms, and ten times sooner), folders and file names included. It promises the same: it returns when all that was
written before is on the disk, and since Linux 5.8 it reports what could not be written, once to each open file. It also
writes what other programs have left unwritten on that file system, so few sessions are synced one by one.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache
from pathlib import Path

SHARED = 8
"""From so many files on they are synced by one call."""


def sync(file: int) -> OSError | None:
    """Wait until the disk has a file's bytes; the error where it refuses."""
    try:
        os.fdatasync(file)
    except OSError as error:
        return error
    return None


def can_share() -> bool:
    """Whether one call for many files says which of them could not be kept."""
    return _syncfs() is not None


_folders: dict[int, int] = {}
"""A folder of each file system, by number, opened before any file that is synced through it: an open file is told of
errors that came after it was opened, each once. Told to a file that may be closed, one could be missed."""


def watch(folder: Path) -> int:
    """The number of the file system of a folder, which ``sync_shared`` takes."""
    device = folder.stat().st_dev
    if device not in _folders:
        _folders[device] = os.open(folder, os.O_RDONLY)
    return device


def sync_shared(device: int) -> OSError | None:
    """Wait until the disk has everything on a file system, as ``sync``."""
    call = _syncfs()
    assert call is not None
    if call(_folders[device]) == 0:
        return None
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


@cache
def _syncfs() -> ctypes._NamedFuncPointer | None:
    if platform.system() != "Linux" or _kernel() < (5, 8):
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def _kernel() -> tuple[int, int]:
    try:
        major, minor = platform.release().split(".")[:2]
        return int(major), int(minor)
    except ValueError:
        return 0, 0
