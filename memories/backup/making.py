"""Making a backup. The database comes first: an audio object that is younger than its copy is only a stray file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection

from memories.backup import database
from memories.backup.archive import FORMAT, BackupError, Manifest, one_sentence, writing
from transcription.journal.store import REMOVED, root

LEFT_OUT = (
    "work",
    "locks",
    "static",
    "uploads",
    "models",
    *(database.SQLITE_PART + end for end in ("", *database.LEAVINGS)),
)
"""At the top of the data folder: copies in work, locks, collected files, models. The database has its own way."""
PASSING = (".restore-", ".replaced-")
"""Folders of a restore that was killed."""


@dataclass(frozen=True)
class Made:
    """What a backup became."""

    file: Path
    manifest: Manifest


def take(target: Path) -> Made:
    """Write the installation into a new archive: ``target``, or a file named by the time where it is a folder.

    Raises BackupError, and leaves nothing behind then.
    """
    data = Path(settings.OMI_DATA_DIR)
    made_at = datetime.now(UTC)
    if target.is_dir():
        target = target / f"omi-backup-{made_at:%Y%m%dT%H%M%SZ}.zip"
    if target.resolve().is_relative_to(data):
        raise BackupError("A backup within the data folder is lost with it: give another place.")
    postgres = connection.vendor == "postgresql"
    with writing(target) as archive, one_sentence("The backup was not made"):
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
            part = database.POSTGRES_PART if postgres else database.SQLITE_PART
            copy = Path(folder) / part
            if postgres:
                database.dump_postgres(copy)
                migrations = database.applied_migrations()
            else:
                database.copy_sqlite(copy)
                migrations = sorted(database.check_sqlite(copy))
            archive.add(copy, part)
        for file in files(data):
            archive.add(file, file.relative_to(data).as_posix())
        manifest = Manifest(
            format=FORMAT, made_at=made_at, database="postgresql" if postgres else "sqlite", migrations=migrations,
            elsewhere=elsewhere(), parts=archive.parts,
        )  # fmt: skip
        archive.finish(manifest)
    return Made(target, manifest)


def files(data: Path) -> Iterator[Path]:
    """Every file of the data folder that belongs into a backup, in order. Raises BackupError at a link."""
    for parent, folders, names in os.walk(data, onerror=_refuse):
        top = Path(parent) == data
        folders[:] = sorted(name for name in folders if not (top and (name in LEFT_OUT or name.startswith(PASSING))))
        if Path(parent) == root():
            folders[:] = [name for name in folders if name != REMOVED]  # on its way out
        for name in [*folders, *names]:
            if (Path(parent) / name).is_symlink():
                raise BackupError(f"{Path(parent) / name} is a link: a backup does not follow it, and would lack it.")
        wanted = (Path(parent) / name for name in sorted(names) if not (top and name in LEFT_OUT))
        yield from (file for file in wanted if file.is_file())  # a socket or a pipe holds nothing


def _refuse(error: OSError) -> None:
    """A folder that cannot be read would be missing in the backup; one that is gone by now is not wanted."""
    if not isinstance(error, FileNotFoundError):
        raise error


def elsewhere() -> list[str]:
    """What belongs to the installation and lies where no backup of this machine reaches, each with its own means."""
    told = []
    if settings.SECRET_KEY_GIVEN:
        told.append("SECRET_KEY and the other settings stand in the environment: keep that file yourself.")
    else:
        told.append("Settings (keys of vendors among them) stand in the environment: keep them yourself.")
    if settings.OMI_DOCUMENTS == "firestore":
        told.append("Documents are in Firestore: `gcloud firestore export`, or its scheduled backups.")
    if settings.OMI_VECTORS == "pinecone":
        told.append("Vectors are in Pinecone: its own backups, or `manage.py mirror --rebuild` from the documents.")
    if settings.OMI_AUDIO == "gcs":
        told.append("Audio objects are in Cloud Storage: object versioning, or a copy by `gcloud storage rsync`.")
    if settings.OMI_SPEECH_MODEL or (Path(settings.OMI_DATA_DIR) / "models").is_dir():
        told.append("Speech models are left out: `manage.py models --fetch` brings them again.")
    return told
