"""Folders for copies of recordings while they are worked on: gone with their process, however it ended.

A temporary folder is removed by the code that made it, which a killed process does not reach: voices of people would
lie on the disk for good. Here each process has a folder of its own under ``OMI_DATA_DIR/work`` and holds a lock beside
it. The kernel takes the lock back when the process ends in whatever way; whoever comes next finds it free and removes
the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

_roots: dict[tuple[int, str], Path] = {}
"""By process id and data folder: a fork begins with its parent's, and makes its own."""
_held: list[int] = []


def temporary(prefix: str = "work-") -> tempfile.TemporaryDirectory[str]:
    """Give a temporary folder as ``tempfile.TemporaryDirectory``, in the folder of this process."""
    return tempfile.TemporaryDirectory(prefix=prefix, dir=root())


def root() -> Path:
    """The folder of this process, readable by its owner only; made at the first call, which also sweeps."""
    key = (os.getpid(), str(settings.OMI_DATA_DIR))
    if key not in _roots or not _roots[key].is_dir():
        sweep()
        _roots[key] = _make(_base())
    return _roots[key]


def sweep() -> int:
    """Remove the folders of processes that have ended. The number of folders removed."""
    swept = 0
    for lock in _base().glob("*.lock"):
        with contextlib.suppress(OSError):  # its owner, or another sweeper, was quicker
            descriptor = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()
                swept += 1
            finally:
                os.close(descriptor)
    if swept:
        log.info("work_swept", folders=swept)
    return swept


def _base() -> Path:
    base = Path(settings.OMI_DATA_DIR) / "work"
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    return base


def _make(base: Path) -> Path:
    while True:
        lock = base / f"{os.getpid()}-{uuid.uuid4().hex}.lock"
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # A sweeper may have taken the file between the two lines above.
        if lock.exists() and os.path.samestat(os.fstat(descriptor), lock.stat()):
            folder = lock.with_suffix("")
            folder.mkdir(mode=0o700)
            _held.append(descriptor)  # never closed: that is the lock
            return folder
        os.close(descriptor)
