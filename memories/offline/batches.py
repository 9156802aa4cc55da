"""What a user does with batches of offline recordings: announce one, send its files, finish or drop it. Everything
takes the uid, so that a stranger finds nothing."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone
from django_q.tasks import async_task

from memories.offline.models import SyncBatch, SyncConversation, SyncFile
from memories.pipeline import budgets
from memories.user_events import log as events
from omi.core.errors import ProviderError
from omi.core.pruning import delete_in_pieces
from omi.stores import audio
from transcription.audio.convert import AudioError

log = structlog.get_logger(__name__)

MOST_PIECES: Final = 1024
"""Pieces that one file may come in: each is an object of the audio store."""
MOST_PER_DAY: Final = 20_000
"""Files that one user may announce within a day: the app makes one a minute."""
KEPT: Final = timedelta(days=90)
"""How long the rows of a batch that is over tell what was sent: the same file is known by them."""
WORK: Final = "memories.offline.working.work"
UNFINISHED: Final = (SyncBatch.State.RECEIVING, SyncBatch.State.QUEUED)
LEFT_TO_WORK: Final = timedelta(days=1)
"""For how long after its end what came of a batch is kept to be worked on."""
KNOWN: Final = (SyncFile.State.PLACED, SyncFile.State.SILENT, SyncFile.State.HEARD)

Fence = Callable[[], None]


class Readable(Protocol):
    """The body of a request, or a file."""

    def read(self, size: int, /) -> bytes: ...


class BatchNotFound(LookupError):
    """The user has no such batch, or it no such file (404)."""


class TooManyBatches(Exception):
    """As many batches of the user as may be are unfinished, or as many files were announced within a day (429)."""


class TooMuchWaiting(Exception):
    """The files of the user's unfinished batches are as large together as may be (429)."""


class AnotherRequest(Exception):
    """The idempotency key was used for other files (409)."""


class WrongOffset(Exception):
    """The piece does not begin where the file ends that is here (409). ``offset``: where that is."""

    def __init__(self, offset: int) -> None:
        super().__init__(str(offset))
        self.offset = offset


class TooManyPieces(Exception):
    """The file came in as many pieces as it may (413)."""


class Longer(Exception):
    """The piece goes beyond the end that was announced for its file, or is larger than a piece may be (413)."""


class NotReceiving(Exception):
    """The batch or the file takes no more bytes (409)."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A file that will be sent. ``captured_at``: of its first sample. ``size`` in bytes, ``sha256`` in hex."""

    name: str
    captured_at: datetime
    codec: str
    sample_rate: int | None
    size: int
    sha256: str


def create(
    uid: str,
    files: Sequence[Announced],
    *,
    device_id: str | None,
    language: str,
    key: str | None,
    signed_in: float,
    fence: Fence,
) -> SyncBatch:
    """Announce files of one device. The same ``key`` with the same files: the batch that is there.

    A file that the user has sent before, by its digest, is a duplicate at once. Raises TooManyBatches, TooMuchWaiting,
    AnotherRequest, BudgetSpent and what ``fence`` raises.
    """
    digest = hashlib.sha256(key.encode()).hexdigest() if key else ""
    request = _digest(files, device_id, language)
    now = timezone.now()
    with transaction.atomic():
        events.hold(uid)  # one creation at a time, and none beside an erasure
        fence()
        there = SyncBatch.objects.filter(uid=uid, key=digest).first() if digest else None
        if there is not None:
            if there.request != request:
                raise AnotherRequest
            return there
        open_now = SyncBatch.objects.filter(uid=uid, state__in=UNFINISHED)
        today = SyncFile.objects.filter(batch__uid=uid, batch__created_at__gt=now - timedelta(days=1))
        if open_now.count() >= settings.OMI_SYNC_BATCHES or today.count() + len(files) > MOST_PER_DAY:
            raise TooManyBatches
        new = _new(uid, files)
        wanted = sum(item.size for item, is_new in zip(files, new, strict=True) if is_new)
        waiting = SyncFile.objects.filter(batch__in=open_now).exclude(state=SyncFile.State.DUPLICATE)
        if (waiting.aggregate(total=Sum("size"))["total"] or 0) + wanted > settings.OMI_SYNC_BYTES:
            raise TooMuchWaiting
        budgets.spend(uid, upload_bytes=wanted)
        batch = SyncBatch.objects.create(
            id=f"sync_{secrets.token_hex(12)}", uid=uid, device_id=device_id or "", language=language, key=digest,
            request=request, signed_in=signed_in, created_at=now,
            expires_at=now + timedelta(days=settings.OMI_SYNC_KEEP_DAYS),
        )  # fmt: skip
        SyncFile.objects.bulk_create(
            SyncFile(
                batch=batch, number=number, **asdict(item),
                state=SyncFile.State.WAITING if is_new else SyncFile.State.DUPLICATE,
            )
            for number, (item, is_new) in enumerate(zip(files, new, strict=True))
        )  # fmt: skip
        _queue_when_whole(batch)
    return batch


def get(uid: str, batch_id: str) -> SyncBatch:
    """Raises BatchNotFound."""
    found = SyncBatch.objects.filter(uid=uid, id=batch_id).first()
    if found is None:
        raise BatchNotFound
    return found


def of_user(uid: str) -> QuerySet[SyncBatch]:
    """The user's batches, newest first."""
    return SyncBatch.objects.filter(uid=uid).order_by("-created_at", "id")


def file(uid: str, batch_id: str, number: int) -> SyncFile:
    """One file of a batch. Raises BatchNotFound."""
    found = SyncFile.objects.select_related("batch").filter(batch__uid=uid, batch=batch_id, number=number).first()
    if found is None:
        raise BatchNotFound
    return found


def receive(
    uid: str, batch_id: str, number: int, offset: int, content: Readable, *, declared: int = 0, fence: Fence
) -> SyncFile:
    """Put a piece behind what is here of a file; with the last one the file is whole, with the last file the batch.

    ``declared``: bytes that the request says it has. The piece counts when all of it came; of two at the same place one
    does. Raises BatchNotFound, NotReceiving, WrongOffset, Longer, TooManyPieces, AudioNotFound (erased meanwhile),
    ProviderError and what ``fence`` raises.
    """
    found = file(uid, batch_id, number)
    _may_follow(found, offset)
    room = min(found.size - offset, settings.OMI_SYNC_PIECE_BYTES)
    if declared > room:
        raise Longer
    left = found.batch.expires_at - timezone.now()
    stored = audio.put(uid, "sync", _pieces(content, room), suffix=".part",
                       keep_for=left + LEFT_TO_WORK + timedelta(hours=1), fence=fence)  # fmt: skip
    taken = False
    try:
        with transaction.atomic():
            batch = SyncBatch.objects.select_for_update().filter(pk=batch_id, uid=uid).first()
            if batch is None:
                raise BatchNotFound
            fence()
            found = SyncFile.objects.select_for_update().select_related("batch").get(batch=batch, number=number)
            _may_follow(found, offset)
            if stored.size:
                found.pieces = [*found.pieces, stored.name]
                found.offset += stored.size
                taken = True
            if found.offset == found.size:
                found.state = SyncFile.State.WHOLE
            found.save(update_fields=["pieces", "offset", "state"])
            _queue_when_whole(batch)
    finally:
        if not taken:
            audio.delete(stored)
    return found


def _pieces(content: Readable, room: int) -> Iterator[bytes]:
    """What a request brings. Raises Longer where it is more than ``room`` bytes."""
    while data := content.read(min(audio.PIECE, room + 1)):
        room -= len(data)
        if room < 0:
            raise Longer
        yield data


def _may_follow(found: SyncFile, offset: int) -> None:
    if found.batch.state != SyncBatch.State.RECEIVING or found.state not in (
        SyncFile.State.WAITING, SyncFile.State.WHOLE
    ):  # fmt: skip
        raise NotReceiving
    if offset != found.offset:
        raise WrongOffset(found.offset)
    if len(found.pieces) >= MOST_PIECES:
        raise TooManyPieces


def finish(uid: str, batch_id: str) -> SyncBatch:
    """Have the files worked on that are whole; the others do not come any more. Again it changes nothing. Raises
    BatchNotFound."""
    with transaction.atomic():
        batch = SyncBatch.objects.select_for_update().filter(uid=uid, id=batch_id).first()
        if batch is None:
            raise BatchNotFound
        if batch.state == SyncBatch.State.RECEIVING:
            batch.files.filter(state=SyncFile.State.WAITING).update(state=SyncFile.State.MISSING)
            _queue(batch)
    _drop_pieces(batch.files.filter(state=SyncFile.State.MISSING))  # the store is not waited for in a transaction
    return batch


def drop(uid: str, batch_id: str) -> None:
    """Forget a batch with what was sent of it; memories that were made of it stay. Raises BatchNotFound and
    ProviderError: it is then over, and may be dropped again."""
    batch = get(uid, batch_id)
    mine = SyncBatch.objects.filter(pk=batch.pk)
    mine.update(state=SyncBatch.State.EXPIRED, ended_at=timezone.now())  # no piece comes, and no worker goes on
    _drop_pieces(batch.files.all())
    mine.delete()


def _queue_when_whole(batch: SyncBatch) -> None:
    if batch.state == SyncBatch.State.RECEIVING and not batch.files.filter(state=SyncFile.State.WAITING).exists():
        _queue(batch)


def _queue(batch: SyncBatch) -> None:
    batch.state, batch.due_at = SyncBatch.State.QUEUED, timezone.now()
    batch.save(update_fields=["state", "due_at"])
    transaction.on_commit(partial(async_task, WORK, batch.pk))


def _new(uid: str, files: Sequence[Announced]) -> list[bool]:
    """Whether each file has to be sent: not where its bytes came before, or twice in one batch."""
    digests = [item.sha256 for item in files]
    told = SyncFile.objects.filter(batch__uid=uid, sha256__in=digests)
    known = set(told.filter(Q(state__in=KNOWN) | Q(offset=F("size"), batch__state__in=UNFINISHED))
                .values_list("sha256", flat=True))  # fmt: skip
    new = []
    for digest in digests:
        new.append(digest not in known)
        known.add(digest)
    return new


def _digest(files: Sequence[Announced], device_id: str | None, language: str) -> str:
    told = [[item.captured_at.isoformat(), item.codec, item.sample_rate, item.size, item.sha256] for item in files]
    return hashlib.sha256(json.dumps([device_id, language, told]).encode()).hexdigest()


def _drop_pieces(files: QuerySet[SyncFile]) -> None:
    """Delete what was sent of some files. Repeatable. Raises ProviderError."""
    for pieces in files.exclude(pieces=[]).values_list("pieces", flat=True):
        for name in pieces:
            audio.delete(name)
    files.update(pieces=[])


def put_together(found: SyncFile, path: Path) -> Path:
    """Write the pieces of a whole file to ``path``. Raises AudioError where the digest is not the announced one,
    AudioNotFound and ProviderError."""
    digest = hashlib.sha256()
    with path.open("wb") as target:
        for name in found.pieces:
            with audio.open(name) as source:
                while data := source.read(audio.PIECE):
                    digest.update(data)
                    target.write(data)
    if digest.hexdigest() != found.sha256:
        raise AudioError("checksum", "The file that came is not the one that was announced: its SHA-256 is another.")
    return path


def expire() -> int:
    """Work on what came of batches whose time is over, and end those that nobody could work on for a day more; how
    many. One whose bytes cannot be deleted now is left to the next call, and holds up no other."""
    done = 0
    now = timezone.now()
    stuck = Q(state=SyncBatch.State.QUEUED, expires_at__lt=now - LEFT_TO_WORK)
    over = Q(state=SyncBatch.State.RECEIVING, expires_at__lt=now)
    for batch in list(SyncBatch.objects.filter(stuck | over).order_by("expires_at")[:200]):
        try:
            if batch.state == SyncBatch.State.QUEUED:
                end(batch, SyncBatch.State.FAILED)
            elif batch.files.filter(state=SyncFile.State.WHOLE).exists():
                finish(batch.uid, batch.pk)
            else:
                end(batch, SyncBatch.State.EXPIRED)
        except (ProviderError, BatchNotFound) as error:
            log.warning("sync_batch_not_expired", batch=batch.pk, error=type(error).__name__)
            continue
        done += 1
    return done


def end(batch: SyncBatch, state: str) -> None:
    """A batch is over: its audio goes, its rows tell of it for ``KEPT``."""
    _drop_pieces(batch.files.all())
    rest = (SyncFile.State.WAITING, SyncFile.State.WHOLE)
    batch.files.filter(state__in=rest).update(state=SyncFile.State.MISSING)
    SyncBatch.objects.filter(pk=batch.pk).update(
        state=state, ended_at=timezone.now(), until=None, due_at=None, claim=""
    )


def prune() -> int:
    """Delete rows of batches that are over for ``KEPT``; how many."""
    old = SyncBatch.objects.filter(ended_at__lt=timezone.now() - KEPT)
    delete_in_pieces(SyncFile.objects.filter(batch__in=old))
    delete_in_pieces(SyncConversation.objects.filter(batch__in=old))
    return delete_in_pieces(old)


def will_join(uid: str, memory_id: str) -> bool:
    """Whether words of a batch that is being worked on were placed in this memory and are not in it yet."""
    placed = SyncConversation.objects.filter(batch__uid=uid, memory_id=memory_id, asked=False)
    return placed.filter(batch__state=SyncBatch.State.QUEUED).exists()


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase which parts of a batch became a memory; that its files came stays, so that they do not come again."""
    return int(SyncConversation.objects.filter(batch__uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    """Erase a user's batches; their bytes go with the user's audio objects."""
    with transaction.atomic():
        events.hold_if_there(uid)
        return int(SyncBatch.objects.filter(uid=uid).delete()[0])


def remaining(uid: str) -> int:
    """Batches of a user that are here."""
    return SyncBatch.objects.filter(uid=uid).count()


def exported(uid: str) -> list[dict[str, object]]:
    """A user's batches for the export. What was sent of unfinished ones is among the audio."""
    files = ("number", "name", "captured_at", "codec", "sample_rate", "size", "sha256", "state", "seconds", "pieces")
    return [
        {
            "id": batch.id, "device_id": batch.device_id, "language": batch.language, "state": batch.state,
            "created_at": batch.created_at, "ended_at": batch.ended_at,
            "files": list(batch.files.order_by("number").values(*files)),
            "conversations": list(batch.conversations.order_by("number").values("memory_id", "parts")),
        }
        for batch in of_user(uid)
    ]  # fmt: skip
