"""Folders of the journal: ``OMI_DATA_DIR/journal/<hash of the user id>/<session id>/``.

``meta.json`` (replaced atomically) says whose it is and how far its life has gone, ``audio.bin`` is the audio
(``records``), ``progress`` is a small record overwritten in place, ``lock`` is held by the process that writes. The
operating system drops the lock with the process, whatever killed it: that is how an orphan is told from a live session.

A session is there once its ``meta.json`` is, which is after its lock was taken. It goes by a rename (to ``.removed``),
so nobody finds half of one, and nobody makes a file in a folder that is being emptied.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import struct
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from transcription.audio.codecs import Codec, codec
from transcription.journal.records import MARKER_BYTES
from transcription.ports import SessionInfo

OPEN, FINISHED, RELEASED = "open", "finished", "released"
VERSION = 2
"""Of the format of ``audio.bin``. Version 1 (``version1``) is still read."""
REMOVED = ".removed"
LEAST_BYTES = 1024 * 1024
UNCLAIMED_SECONDS = 30 * 86400.0
"""A finished session's audio waits this long for a run that needs it (one that failed may be started again by hand)."""
_PROGRESS = struct.Struct("<dd")


def root() -> Path:
    """Return the folder under which all journals of this host lie."""
    return Path(settings.OMI_DATA_DIR) / "journal"


def user_folder(uid: str) -> Path:
    """The user id is hashed: it may hold any character, and folder names are seen by whoever lists the disk."""
    return root() / hashlib.sha256(uid.encode()).hexdigest()[:32]


@dataclass(slots=True)
class Meta:
    """What is known of a session. ``conversation`` and ``offset`` once its processing memory is known. ``marker``: hex,
    see ``records``; a session of an earlier server names no ``version``."""

    uid: str
    session_id: str
    started_at: str
    language: str
    codec: str
    sample_rate: int
    watch: bool = True
    device_id: str = ""
    state: str = OPEN
    conversation: str = ""
    conversation_started_at: str = ""
    offset: float = 0.0
    reason: str = ""
    keep_until: float | None = None
    signed_in: float = 0.0
    version: int = 1
    marker: str = ""


class Entry:
    """One session's folder: what its audio and metadata files say."""

    def __init__(self, folder: Path, meta: Meta) -> None:
        self.folder = folder
        self.meta = meta

    @property
    def session_id(self) -> str:
        return self.meta.session_id

    @property
    def audio(self) -> Path:
        return self.folder / "audio.bin"

    def written_at(self) -> float:
        """Unix seconds of the last write to the audio; now where there is none."""
        try:
            return self.audio.stat().st_mtime
        except FileNotFoundError:
            return time.time()

    @property
    def codec(self) -> Codec:
        return codec(self.meta.codec, self.meta.sample_rate)

    @property
    def info(self) -> SessionInfo:
        return SessionInfo(
            uid=self.meta.uid,
            session_id=self.meta.session_id,
            started_at=datetime.fromisoformat(self.meta.started_at),
            language=self.meta.language,
            codec=self.meta.codec,
            sample_rate=self.meta.sample_rate,
            device_id=self.meta.device_id or None,
            signed_in=self.meta.signed_in,
        )

    def save(self, *, sync: bool = True) -> None:
        """Write ``meta.json``; after a crash either the old or the new one is there, whole.

        ``sync=False`` leaves the wait for the disk to ``sync_meta``: the event loop must not do it.
        """
        temporary = self.folder / f"meta.{uuid.uuid4().hex}.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(asdict(self.meta), file)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(self.folder / "meta.json")
        if sync:
            _sync(self.folder)

    def sync_meta(self) -> None:
        """Have the disk keep what ``begin`` made: the file, and each folder's entry in the one above."""
        for path in (self.folder / "meta.json", self.folder, self.folder.parent, root(), root().parent):
            _sync(path)

    def save_progress(self, decided: float, silence: float) -> None:
        """How far (session seconds) words are stored, and how much of that was silence. Cheap: called often."""
        descriptor = os.open(self.folder / "progress", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, _PROGRESS.pack(decided, silence), 0)
        finally:
            os.close(descriptor)

    def progress(self) -> tuple[float, float]:
        try:
            data = (self.folder / "progress").read_bytes()
        except FileNotFoundError:
            return 0.0, 0.0
        return _PROGRESS.unpack(data) if len(data) == _PROGRESS.size else (0.0, 0.0)

    def lock(self) -> int | None:
        """Take the writer's lock; None where a living process holds it, or the session is gone. The caller closes the
        descriptor."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    @staticmethod
    def unlock(descriptor: int) -> None:
        os.close(descriptor)

    def remove(self) -> None:
        """What cannot be deleted at once is by the next ``sweep``."""
        with contextlib.suppress(OSError):
            _remove(self.folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> bool:
    """Take a folder away as a whole, then delete it. False where it was gone already."""
    away = root() / REMOVED / uuid.uuid4().hex
    away.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        folder.rename(away)
    except FileNotFoundError:
        return False
    shutil.rmtree(away)
    return True


def create(info: SessionInfo, *, watch: bool, device_id: str = "") -> Entry:
    """A new session that nobody writes yet."""
    entry, lock = begin(info, watch=watch, device_id=device_id)
    os.close(lock)
    return entry


def begin(info: SessionInfo, *, watch: bool, device_id: str = "") -> tuple[Entry, int]:
    """A new session's folder, and its lock. Raises OSError (a full disk): the session then goes on without a
    journal."""
    folder = user_folder(info.uid) / info.session_id
    folder.mkdir(parents=True, mode=0o700)
    meta = Meta(
        uid=info.uid,
        session_id=info.session_id,
        started_at=info.started_at.astimezone(UTC).isoformat(),
        language=info.language,
        codec=info.codec,
        sample_rate=info.sample_rate,
        watch=watch,
        device_id=device_id,
        signed_in=info.signed_in,
        version=VERSION,
        marker=secrets.token_hex(MARKER_BYTES),
    )
    entry = Entry(folder, meta)
    lock = entry.lock()
    if lock is None:
        raise FileNotFoundError(folder)
    try:
        entry.save(sync=False)
    except BaseException:
        os.close(lock)
        raise
    return entry, lock


def load(folder: Path) -> Entry | None:
    """The session in a folder; None where it is no session that we can use."""
    try:
        raw: dict[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        return Entry(folder, Meta(**raw))
    except (OSError, ValueError, TypeError):
        return None  # being made or removed at this moment, or of a foreign version: not a session we can use


def sessions(uid: str | None = None) -> Iterator[Entry]:
    """Every session of one user, or of all, oldest first within a user."""
    for user in [user_folder(uid)] if uid is not None else _users():
        entries = [entry for entry in map(load, _inside(user)) if entry is not None]
        yield from sorted(entries, key=lambda entry: entry.meta.started_at)


def _users() -> list[Path]:
    return [folder for folder in sorted(_inside(root())) if folder.name != REMOVED]


def _inside(folder: Path) -> list[Path]:
    """Its files and folders; none where it is no folder (any more)."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def find(session_id: str, uid: str | None = None) -> Entry | None:
    """A session by its id. With ``uid`` only this user's."""
    for user in [user_folder(uid)] if uid is not None else _users():
        folder = user / session_id
        if folder.parent == user and folder.is_dir():
            return load(folder)
    return None


def for_conversation(uid: str, conversation_id: str) -> list[Entry]:
    """The sessions that fed one processing memory, in order of time."""
    return [entry for entry in sessions(uid) if entry.meta.conversation == conversation_id]


def orphans() -> Iterator[Entry]:
    """Yield the sessions that were not finished and that no living process writes."""
    for entry in sessions():
        if entry.meta.state != OPEN:
            continue
        descriptor = entry.lock()
        if descriptor is None:
            continue
        os.close(descriptor)
        yield entry


def claim(entry: Entry) -> tuple[Entry, int] | None:
    """An orphan as it stands under its lock, and that lock: between a look and the lock another process may have
    finished it, or removed it. None where there is nothing (left) to recover."""
    lock = entry.lock()
    if lock is None:
        return None
    found = load(entry.folder)
    if found is None or found.meta.state != OPEN:
        os.close(lock)
        return None
    return found, lock


def release(session_id: str, keep_until: datetime | None, uid: str | None = None) -> bool:
    """The audio is no longer needed for processing: delete it at ``keep_until`` (None: now). False if unknown."""
    entry = find(session_id, uid)
    if entry is None:
        return False
    if keep_until is None or keep_until <= datetime.now(UTC):
        entry.remove()
        return True
    entry.meta.state = RELEASED
    entry.meta.keep_until = keep_until.timestamp()
    try:
        entry.save()
    except FileNotFoundError:
        return False  # removed meanwhile
    return True


def sweep(now: float | None = None) -> int:
    """Delete released sessions whose time has come, and finished ones that nobody has asked for. Returns how many."""
    moment = time.time() if now is None else now
    gone = 0
    for entry in sessions():
        released = entry.meta.state == RELEASED and (entry.meta.keep_until or 0.0) <= moment
        if released or (entry.meta.state == FINISHED and entry.written_at() + UNCLAIMED_SECONDS <= moment):
            entry.remove()
            gone += 1
    for rest in _inside(root() / REMOVED):  # a process died while it deleted
        shutil.rmtree(rest, ignore_errors=True)
    return gone


FORGET_TRIES = 10
"""Sessions that begin while their user is forgotten are few: the sockets are closed by then."""


def forget_user(uid: str) -> int:
    """Delete every session of a user, whatever its state. Returns how many there were. Raises OSError."""
    return forget_folder(user_folder(uid))


def forget_folder(folder: Path) -> int:
    """Erase a user's journals, as ``forget_user``, by the folder."""
    for rest in _inside(root() / REMOVED):  # of an earlier try that failed half-way
        shutil.rmtree(rest)
    count = left_in(folder)
    for _ in range(FORGET_TRIES):
        if not _remove(folder):
            break
    return count


def size_of(uid: str) -> int:
    """Bytes on disk that are this user's. A session counts as ``LEAST_BYTES`` at least, which bounds their number."""
    total = 0
    for folder in _inside(user_folder(uid)):
        with contextlib.suppress(OSError):
            total += max(LEAST_BYTES, (folder / "audio.bin").stat().st_size)
    return total


def remaining(uid: str) -> int:
    """Folders on disk that are this user's, readable or not."""
    return left_in(user_folder(uid))


def left_in(folder: Path) -> int:
    """Return how many journals are left, as ``remaining``, by the user's folder."""
    return len(_inside(folder))
