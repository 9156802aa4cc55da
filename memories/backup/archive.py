"""The archive: a zip file of named parts and a manifest with the SHA-256 of each. Nothing in it is believed unchecked.

The sums find damage. They do not find somebody who rewrites part and manifest: keep the file where only you can write.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

FORMAT = 1
MANIFEST = "omi-backup-manifest.json"
CHUNK = 1 << 20
LONGEST_MANIFEST = 256 << 20
"""Bytes: a million parts and more."""
MARGIN = 64 << 20
"""Bytes that stay free on a disk after a restore."""


class BackupError(Exception):
    """A backup or a restore cannot be done. The text is one sentence for the operator; nothing was changed."""


class Part(BaseModel):
    """A file of the archive. ``name`` is its place, relative to the data folder, or the database's own name."""

    name: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """What an archive holds, and what of the installation it does not hold."""

    format: int
    made_at: datetime
    database: Literal["sqlite", "postgresql"]
    migrations: list[tuple[str, str]]
    elsewhere: list[str] = Field(default_factory=list, description="what must be kept by its own means")
    parts: list[Part]


class Writer:
    """Adds parts to a new archive and remembers their sums."""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed
        self.parts: list[Part] = []

    def add(self, file: Path, name: str) -> bool:
        """Put in what ``file`` holds now; what a writer appends meanwhile stays out. False where it is gone."""
        try:
            source = file.open("rb")
        except FileNotFoundError:  # erased, or its time was over, since the folder was listed
            return False
        with source:
            left = os.fstat(source.fileno()).st_size
            digest, size = hashlib.sha256(), 0
            with self._packed.open(zipfile.ZipInfo(name), "w", force_zip64=True) as target:
                while left and (chunk := source.read(min(left, CHUNK))):
                    target.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
                    left -= len(chunk)
        self.parts.append(Part(name=name, size=size, sha256=digest.hexdigest()))
        return True

    def finish(self, manifest: Manifest) -> None:
        """Put the manifest in, which comes last."""
        self._packed.writestr(MANIFEST, manifest.model_dump_json(indent=1))


@contextmanager
def writing(target: Path) -> Iterator[Writer]:
    """Write a new archive, which is there whole or not at all, readable by its owner only."""
    if target.exists():
        raise BackupError(f"{target} is there already.")
    if not target.parent.is_dir():
        raise BackupError(f"{target.parent} is not a folder.")
    with one_sentence("The backup was not made"):
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                # Stored, not deflated: audio does not get smaller, and who copies archives compresses on the way.
                with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
                    yield Writer(packed)
                file.flush()
                os.fsync(file.fileno())
            os.link(name, target)  # never replaces what somebody else has put there
        finally:
            Path(name).unlink()
    _sync(target.parent)


class Reader:
    """An archive whose manifest was checked against the list of its files."""

    def __init__(self, packed: zipfile.ZipFile) -> None:
        self._packed = packed
        self.manifest = _manifest(packed)
        self.size = sum(part.size for part in self.manifest.parts)

    def unpack(self, folder: Path) -> None:
        """Write every part below ``folder`` and compare its sum. Raises BackupError at the first that differs."""
        for part in self.manifest.parts:
            place = folder / part.name
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            digest = hashlib.sha256()
            with self._packed.open(part.name) as source, os.fdopen(descriptor, "wb") as target:
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
                target.flush()
                os.fsync(target.fileno())
            if digest.hexdigest() != part.sha256:
                raise BackupError(f"The archive is damaged: {part.name!r} does not have the sum of the manifest.")


@contextmanager
def reading(file: Path) -> Iterator[Reader]:
    """Open an archive. Raises BackupError for whatever is not one, is not whole, or names a file outside of it."""
    with one_sentence("The backup was not restored"):
        try:
            with zipfile.ZipFile(file) as packed:
                yield Reader(packed)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise BackupError(f"{file} is not a whole archive: it is cut off or damaged ({error}).") from error


def _manifest(packed: zipfile.ZipFile) -> Manifest:
    entries = {entry.filename: entry for entry in packed.infolist()}
    if MANIFEST not in entries:
        raise BackupError("The archive has no manifest: `manage.py backup` did not make it.")
    if entries[MANIFEST].file_size > LONGEST_MANIFEST:
        raise BackupError("The manifest of the archive is too long to be one.")
    try:
        manifest = Manifest.model_validate_json(packed.read(MANIFEST))
    except ValidationError as error:
        raise BackupError(f"The manifest of the archive cannot be read ({error.error_count()} mistakes).") from error
    if manifest.format != FORMAT:
        raise BackupError(f"The archive has format {manifest.format}; this version restores format {FORMAT} only.")
    names = [part.name for part in manifest.parts]
    if len(entries) != len(packed.infolist()) or sorted([*names, MANIFEST]) != sorted(entries):
        raise BackupError("The archive is damaged: it does not hold just the files of its manifest.")
    for part in manifest.parts:
        entry = entries[part.name]
        if not safe(part.name) or stat.S_ISLNK(entry.external_attr >> 16):
            raise BackupError(f"The archive names a file outside of the data folder: {part.name!r}.")
        if entry.file_size != part.size:
            raise BackupError(f"The archive is damaged: {part.name!r} does not have the size of the manifest.")
    return manifest


def safe(name: str) -> bool:
    """Whether a name stays below the folder that it is put in."""
    place = PurePosixPath(name)
    return (
        bool(name)
        and "\0" not in name
        and not place.is_absolute()
        and str(place) == name
        and ".." not in place.parts
        and place.parts != (".",)
    )


@contextmanager
def one_sentence(what: str) -> Iterator[None]:
    """Say in one sentence what the disk refused."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BackupError(f"{what}: no space left on the disk.") from error
        place = f" ({error.filename})" if error.filename else ""
        raise BackupError(f"{what}: {error.strerror or error}{place}.") from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
