"""Audio objects: bytes on ``STORAGES["audio"]`` (file system or a private bucket), each with a row that owns it.

The row is written before the bytes and completed after them, so that whatever happens in between is found and removed
by ``sweep_expired``. Names are random and give nothing away; deletion deadlines are rows, not bucket age rules.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, BinaryIO

import structlog
from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import Storage, storages
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from omi.core.errors import ErrorKind, ProviderError, StoreError
from omi.core.pruning import delete_in_pieces
from omi.stores.models import AudioObject

log = structlog.get_logger(__name__)

PIECE = 1024 * 1024
"""Bytes read at a time: a 4-hour upload never sits in memory."""

MIN_SIGNED_TTL, MAX_SIGNED_TTL = 60, 7 * 24 * 3600
ABANDONED_AFTER = timedelta(hours=6)
"""A row whose bytes never became complete is swept after this time; longer than any upload may last."""

KEEP_ROWS = timedelta(days=30)
"""How long the row of a deleted object stays, as part of the erasure record. It holds no audio and no name."""


class AudioNotFound(LookupError):
    """No such object, or its bytes were deleted."""


def storage() -> Storage:
    """Return Django's storage of audio objects, ``STORAGES["audio"]``."""
    return storages["audio"]


def put(
    uid: str,
    purpose: str,
    content: BinaryIO | IO[bytes] | File[bytes] | bytes | Iterable[bytes],
    *,
    memory_id: str | None = None,
    suffix: str = ".wav",
    keep_for: timedelta | None,
    fence: Callable[[], None] = lambda: None,
) -> AudioObject:
    """Store bytes as a new object. ``keep_for`` None: until it is deleted by name, memory or user.

    ``fence`` is called inside of the transaction that writes the row; what it raises refuses the object.
    Raises ProviderError (transient) where the storage is out of reach; then nothing stays behind but a row to sweep.
    """
    now = timezone.now()
    row = AudioObject(
        name=f"{uuid.uuid4().hex}{_safe(suffix)}",
        uid=uid,
        memory_id=memory_id or "",
        purpose=AudioObject.Purpose(purpose),
        created_at=now,
        delete_after=now + keep_for if keep_for is not None else None,
    )
    with transaction.atomic():
        fence()
        row.save(force_insert=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR) as staged:
        for piece in _pieces(content):
            digest.update(piece)
            staged.write(piece)
        size = staged.tell()
        staged.seek(0)
        try:
            saved = storage().save(row.name, File(staged, name=row.name))
        except Exception as error:
            raise _unreachable(error) from error
    if saved != row.name:
        raise StoreError("audio storage", "the object's name was taken", kind=ErrorKind.TRANSIENT, code="collision")
    row.sha256, row.size, row.complete = digest.hexdigest(), size, True
    live = AudioObject.objects.filter(pk=row.pk, deleted_at=None)
    # None where the user or memory was erased while the bytes travelled.
    if not live.update(sha256=row.sha256, size=size, complete=True):
        storage().delete(row.name)
        raise AudioNotFound(row.name)
    return row


def get(name: str, *, uid: str | None = None) -> AudioObject:
    """The live row. Raises AudioNotFound, also for another user's object."""
    found = _live().filter(name=name, complete=True)
    row: AudioObject | None = (found if uid is None else found.filter(uid=uid)).first()
    if row is None:
        raise AudioNotFound(name)
    return row


def open(obj: AudioObject | str) -> File[bytes]:
    """A file to read and seek in. Raises AudioNotFound, ProviderError."""
    return _opened(_row(obj))


def _opened(row: AudioObject) -> File[bytes]:
    if not row.size:  # a resumable download of nothing confuses clients of Cloud Storage
        return File(io.BytesIO(), name=row.name)
    try:
        return storage().open(row.name, "rb")
    except FileNotFoundError as error:
        if not _mounted():
            raise _unreachable(error) from error
        raise AudioNotFound(row.name) from error
    except Exception as error:
        raise _unreachable(error) from error


def local_copy(obj: AudioObject | str, directory: Path) -> Path:
    """A private copy in ``directory`` (never the stored file itself: tools may write beside or into it)."""
    row = _row(obj)
    path = directory / row.name
    with _opened(row) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target, PIECE)
    return path


def signed_url(obj: AudioObject | str, ttl: float) -> str | None:
    """An address that anyone may read for ``ttl`` seconds (60 s to 7 days); None where the storage cannot sign."""
    sign = getattr(storage(), "signed_url", None)
    if sign is None:
        return None
    row = _row(obj)
    try:
        url: str | None = sign(row.name, int(max(MIN_SIGNED_TTL, min(MAX_SIGNED_TTL, ttl))))
    except Exception as error:
        raise _unreachable(error) from error
    return url


def delete(obj: AudioObject | str) -> bool:
    """Remove the bytes, then mark the row. Repeatable. True if this call did it."""
    row = AudioObject.objects.filter(name=obj).first() if isinstance(obj, str) else obj
    if row is None:
        return False
    try:
        storage().delete(row.name)
    except FileNotFoundError:
        pass
    except Exception as error:
        raise _unreachable(error) from error
    now = timezone.now()
    row.deleted_at = row.deleted_at or now
    return bool(AudioObject.objects.filter(pk=row.pk, deleted_at__isnull=True).update(deleted_at=now))


def exists(obj: AudioObject) -> bool:
    """Whether the storage itself still has the bytes."""
    try:
        return bool(storage().exists(obj.name))
    except Exception as error:
        raise _unreachable(error) from error


def stored_size(obj: AudioObject) -> int | None:
    """Return how many bytes the storage itself has of the object; None where it has none."""
    return int(storage().size(obj.name)) if exists(obj) else None


def names() -> list[str]:
    """Return the names of everything in the storage, whether a row speaks of it or not."""
    try:
        return list(storage().listdir("")[1])
    except FileNotFoundError:  # nothing was ever stored
        return []
    except Exception as error:
        raise _unreachable(error) from error


def delete_stray(name: str) -> bool:
    """Remove bytes of which no live row speaks. True if this call did it."""
    if AudioObject.objects.filter(name=name, deleted_at__isnull=True).exists() or not storage().exists(name):
        return False
    try:
        storage().delete(name)
    except Exception as error:
        raise _unreachable(error) from error
    return True


def keep(obj: AudioObject, keep_for: timedelta | None) -> None:
    """Move the deadline; None keeps the object until it is deleted by name, memory or user."""
    obj.delete_after = timezone.now() + keep_for if keep_for is not None else None
    AudioObject.objects.filter(pk=obj.pk).update(delete_after=obj.delete_after)


def as_old_as(obj: AudioObject, sources: Iterable[AudioObject]) -> None:
    """What was put together out of ``sources`` is as old as the oldest of them."""
    obj.created_at = min([obj.created_at, *(source.created_at for source in sources)])
    AudioObject.objects.filter(pk=obj.pk).update(created_at=obj.created_at)


def limit_age(uid: str, purpose: str, age: timedelta | None, *, memory_id: str | None = None) -> int:
    """Objects of a user and purpose (of one memory) go so long after they were stored; None: they stay. How many."""
    rows = _live().filter(uid=uid, purpose=AudioObject.Purpose(purpose))
    rows = rows if memory_id is None else rows.filter(memory_id=memory_id)
    return int(rows.update(delete_after=None if age is None else F("created_at") + age))


def for_memory(uid: str, memory_id: str, purpose: str | None = None) -> list[AudioObject]:
    """Live objects of a memory, oldest first."""
    found = _live().filter(uid=uid, memory_id=memory_id, complete=True)
    if purpose is not None:
        found = found.filter(purpose=AudioObject.Purpose(purpose))
    return list(found.order_by("created_at", "pk"))


def for_user(uid: str) -> Iterator[AudioObject]:
    """Yield the user's audio objects that are not deleted, the oldest first."""
    yield from _live().filter(uid=uid).order_by("pk").iterator()


def forget_memory(uid: str, memory_id: str) -> int:
    """Delete every object of a memory, half-written ones too. Returns how many."""
    return sum(delete(row) for row in list(_live().filter(uid=uid, memory_id=memory_id)))


def forget_user(uid: str, purpose: str | None = None) -> int:
    """Delete everything of a user (of one purpose: e.g. recordings when the permission ends). Returns how many."""
    live = _live().filter(uid=uid)
    if purpose is not None:
        live = live.filter(purpose=AudioObject.Purpose(purpose))
    return sum(delete(row) for row in list(live))


def sweep_expired(limit: int = 1000, *, in_use: Collection[str] = ()) -> int:
    """Delete what is past its deadline or was never completed, and old rows. One broken object stops no other; it is
    raised at the end, for somebody has to see that audio is kept for longer than was promised.

    ``in_use``: ids of memories that are being worked on; their audio is swept when that is over.
    """
    now = timezone.now()
    doomed = _live().filter(
        Q(delete_after__lte=now) & ~Q(memory_id__in=[item for item in in_use if item])
        | Q(complete=False, created_at__lte=now - ABANDONED_AFTER)
    )
    done = 0
    failed: ProviderError | None = None
    for row in list(doomed.order_by("delete_after")[:limit]):
        try:
            done += delete(row)
        except ProviderError as error:
            log.warning("audio.sweep_failed", object=row.name, code=error.code)
            failed = error
    delete_in_pieces(AudioObject.objects.filter(deleted_at__lte=now - KEEP_ROWS))
    if failed is not None:
        raise failed
    return done


def _live() -> Any:
    return AudioObject.objects.filter(deleted_at__isnull=True)


def _row(obj: AudioObject | str) -> AudioObject:
    return get(obj) if isinstance(obj, str) else get(obj.name)


def _pieces(content: Any) -> Iterator[bytes]:
    if isinstance(content, bytes | bytearray | memoryview):
        yield bytes(content)
    elif isinstance(content, File) and hasattr(content, "chunks"):
        yield from content.chunks(PIECE)
    elif hasattr(content, "read"):
        while piece := content.read(PIECE):
            yield piece
    else:
        yield from content


def _mounted() -> bool:
    """Whether the file system's folder is there at all: a volume that went away has not lost one recording."""
    location = getattr(storage(), "location", None)  # a bucket has none, or an empty one
    return not location or Path(location).is_dir()


def _safe(suffix: str) -> str:
    """Only a short plain suffix survives; a client's file name never reaches the storage."""
    bare = suffix.lower().lstrip(".")
    return f".{bare}" if bare.isascii() and bare.isalnum() and len(bare) <= 8 else ""


def _unreachable(error: Exception) -> ProviderError:
    if isinstance(error, ProviderError):
        return error
    status = getattr(error, "code", None)
    permanent = isinstance(status, int) and 400 <= status < 500 and status not in {408, 429}
    return StoreError(
        "audio storage",
        "the audio storage refused the request" if permanent else "the audio storage is out of reach",
        kind=ErrorKind.PERMANENT if permanent else ErrorKind.TRANSIENT,
        code=str(status or type(error).__name__),
    )
