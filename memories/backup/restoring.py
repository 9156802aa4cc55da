"""Restoring a backup: everything is unpacked and checked beside what is there, then the two change places."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from django.conf import settings
from django.db import connection, connections

from memories.backup import database
from memories.backup.archive import MARGIN, BackupError, Manifest, Reader, reading
from memories.backup.making import LEFT_OUT
from omi.core import secret_key

MADE_BY_ITSELF = {secret_key.FILE, "static", "uploads", "work", "locks"}
"""What lies in the data folder as soon as any command ran there."""


def put_back(file: Path, *, force: bool = False) -> Manifest:
    """Restore an archive into the empty data folder; ``force`` replaces what is there. Its manifest.

    Raises BackupError, and has changed nothing then. No server may run meanwhile.
    """
    data = Path(settings.OMI_DATA_DIR)
    postgres = connection.vendor == "postgresql"
    with reading(file) as archive:
        _require_fitting(archive.manifest, postgres)
        if not force and (there := sorted({entry.name for entry in data.iterdir()} - MADE_BY_ITSELF)):
            raise BackupError(f"{data} is not empty (it holds {there[0]}): give an empty folder, or --force.")
        _require_room(archive, data)
        stage = Path(tempfile.mkdtemp(dir=data, prefix=".restore-"))
        try:
            archive.unpack(stage)
            if postgres:
                dump = stage / database.POSTGRES_PART
                database.load_postgres(dump, replace=force)
                dump.unlink()
            else:
                _require_known(database.check_sqlite(stage / database.SQLITE_PART))
                database.require_unused(database.sqlite_file())
            connections.close_all()
            change_places(stage, data)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return archive.manifest


def _require_fitting(manifest: Manifest, postgres: bool) -> None:
    kind = "postgresql" if postgres else "sqlite"
    if manifest.database != kind:
        raise BackupError(f"The archive is of an installation on {manifest.database}; DATABASE_URL here says {kind}.")
    part = database.POSTGRES_PART if postgres else database.SQLITE_PART
    names = {part.name for part in manifest.parts}
    if part not in names:
        raise BackupError(f"The archive is damaged: it holds no {part}.")
    if wrong := sorted(name for name in names - {part} if name.split("/")[0] in LEFT_OUT):
        raise BackupError(f"The archive holds a file that no backup has: {wrong[0]!r}.")
    if not postgres:
        database.sqlite_file()
    _require_known(manifest.migrations)


def _require_known(migrations: list[tuple[str, str]]) -> None:
    if newer := sorted(set(migrations) - database.known_migrations()):
        app, name = newer[0]
        raise BackupError(f"The archive was made by a newer version (migration {app}.{name}): install that one first.")


def _require_room(archive: Reader, data: Path) -> None:
    free = shutil.disk_usage(data).free
    if archive.size + MARGIN > free:
        raise BackupError(
            f"Too little space in {data}: the archive needs {archive.size + MARGIN >> 20} MiB, {free >> 20} are free."
        )


def change_places(stage: Path, data: Path) -> None:
    """Move what is in the data folder aside and the restored into its place, entry by entry; undone where one fails.

    Within one file system, by names only: the data folder itself may be a mount point, which cannot be replaced.
    """
    aside = Path(tempfile.mkdtemp(dir=data, prefix=".replaced-"))
    moved: list[tuple[Path, Path]] = []
    try:
        for source, target in (
            *((old, aside / old.name) for old in list(data.iterdir()) if old not in (stage, aside)),
            *((new, data / new.name) for new in list(stage.iterdir())),
        ):
            source.rename(target)
            moved.append((target, source))
    except OSError:
        for target, source in reversed(moved):
            target.rename(source)
        aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def replaced(data: Path) -> list[Path]:
    """Folders with what restores have replaced and could not delete."""
    return sorted(data.glob(".replaced-*"))
