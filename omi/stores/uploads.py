"""Uploads that were never finished: what a broken connection or a killed process leaves in the upload folder."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from django.conf import settings

from omi.core import workspace

STALE_SECONDS = 6 * 3600.0
"""Longer than any honest upload takes."""


def sweep(now: float | None = None) -> int:
    """Remove the working folders of processes that ended, and delete what lies in ``FILE_UPLOAD_TEMP_DIR`` untouched
    for ``STALE_SECONDS``. Returns how many entries."""
    before = (time.time() if now is None else now) - STALE_SECONDS
    swept = workspace.sweep()
    for entry in Path(settings.FILE_UPLOAD_TEMP_DIR).iterdir():
        try:
            if entry.lstat().st_mtime > before:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        except FileNotFoundError:  # its owner was quicker
            continue
        swept += 1
    return swept
