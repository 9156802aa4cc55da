"""Broken-off uploads do not stay on disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from omi.stores import uploads


def test_stale_uploads_are_swept_and_fresh_ones_and_what_links_point_to_are_not(settings: Any, tmp_path: Path) -> None:
    """A process that ends must not leave voices behind for ever."""
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "uploads")
    folder = tmp_path / "uploads"
    (folder / "old").mkdir(parents=True)
    (folder / "old" / "head.wav").write_bytes(b"voice")
    (folder / "old.upload.wav").write_bytes(b"voice")
    (folder / "fresh.upload.wav").write_bytes(b"voice")
    kept = tmp_path / "elsewhere"
    kept.mkdir()
    (folder / "link").symlink_to(kept)
    for name in ("old", "old.upload.wav", "link"):
        os.utime(folder / name, (1, 1), follow_symlinks=False)
    assert uploads.sweep() == 3
    assert [entry.name for entry in folder.iterdir()] == ["fresh.upload.wav"]
    assert kept.is_dir()
