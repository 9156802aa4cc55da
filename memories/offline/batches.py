"""What a user does with batches of offline recordings: announce one, look, finish or drop it; the bytes of its files
come through ``receiving``. Everything takes the uid, so that a stranger finds nothing."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone
from django_q.tasks import async_task

from memories.offline.models import SyncBatch, SyncFile
from memories.pipeline import budgets
from memories.user_events import log as events
from omi.accounts.erased import Fence
from omi.stores import audio

MOST_PER_DAY: Final = 20_000
"""Files that one user may announce within a day: the app makes one a minute."""
WORK: Final = "memories.offline.working.work"
UNFINISHED: Final = (SyncBatch.State.RECEIVING, SyncBatch.State.QUEUED)
KNOWN: Final = (SyncFile.State.PLACED, SyncFile.State.SILENT, SyncFile.State.HEARD)


class BatchNotFound(LookupError):
    """The user has no such batch, or it no such file (404)."""


class TooManyBatches(Exception):
    """Nothing more is taken: as many batches of the user as may be are unfinished, or as many files were announced
    within a day (429)."""


class TooMuchWaiting(Exception):
    """The files of the user's unfinished batches are as large together as may be (429)."""


class AnotherRequest(Exception):
    """The idempotency key was used for other files (409)."""


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
    with events.user_write(uid, fence):
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
        # What came of one that failed is here until it is tried again or its time is over.
        here = Q(batch__in=open_now) | (Q(batch__state=SyncBatch.State.FAILED) & ~Q(pieces=[]))
        waiting = SyncFile.objects.filter(here, batch__uid=uid).exclude(state=SyncFile.State.DUPLICATE)
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
        queue_when_whole(batch)
    return batch


def get(uid: str, batch_id: str) -> SyncBatch:
    """Return the user's batch of this id; raises BatchNotFound."""
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
    drop_pieces(batch.files.filter(state=SyncFile.State.MISSING))  # the store is not waited for in a transaction
    return batch


def drop(uid: str, batch_id: str) -> None:
    """Forget a batch with what was sent of it; memories that were made of it stay. Raises BatchNotFound and
    ProviderError: it is then over, and may be dropped again."""
    batch = get(uid, batch_id)
    mine = SyncBatch.objects.filter(pk=batch.pk)
    mine.update(state=SyncBatch.State.EXPIRED, ended_at=timezone.now())  # no piece comes, and no worker goes on
    drop_pieces(batch.files.all())
    mine.delete()


def queue_when_whole(batch: SyncBatch) -> None:
    """Give a batch to the workers where all its files came."""
    if batch.state == SyncBatch.State.RECEIVING and not batch.files.filter(state=SyncFile.State.WAITING).exists():
        _queue(batch)


def _queue(batch: SyncBatch) -> None:
    batch.state, batch.due_at = SyncBatch.State.QUEUED, timezone.now()
    batch.save(update_fields=["state", "due_at"])
    transaction.on_commit(partial(async_task, WORK, batch.pk))


def _new(uid: str, files: Sequence[Announced]) -> list[bool]:
    """Whether each file has to be sent: not where its bytes came before and were heard, or twice in one batch."""
    digests = [item.sha256 for item in files]
    told = SyncFile.objects.filter(batch__uid=uid, sha256__in=digests)
    # What nobody has looked at may be other bytes, and a batch that misses a file waits for days: it is sent again.
    looked_at = Q(state=SyncFile.State.WHOLE, seconds__isnull=False, batch__state=SyncBatch.State.QUEUED)
    known = set(told.filter(Q(state__in=KNOWN) | looked_at).values_list("sha256", flat=True))
    new = []
    for digest in digests:
        new.append(digest not in known)
        known.add(digest)
    return new


def _digest(files: Sequence[Announced], device_id: str | None, language: str) -> str:
    told = [[item.captured_at.isoformat(), item.codec, item.sample_rate, item.size, item.sha256] for item in files]
    return hashlib.sha256(json.dumps([device_id, language, told]).encode()).hexdigest()


def drop_pieces(files: QuerySet[SyncFile]) -> None:
    """Delete what was sent of some files. Repeatable. Raises ProviderError."""
    for pieces in files.exclude(pieces=[]).values_list("pieces", flat=True):
        for name in pieces:
            audio.delete(name)
    files.update(pieces=[])
