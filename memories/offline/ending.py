"""How batches end: done, given up or out of time; how one that was given up is tried again; what an erasure and an
export have to know of them."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from memories.offline import batches
from memories.offline.models import SyncBatch, SyncConversation, SyncFile
from memories.user_events import log as events
from omi.core.errors import ProviderError
from omi.core.pruning import delete_in_pieces
from omi.stores import audio

log = structlog.get_logger(__name__)

KEPT: Final = timedelta(days=90)
"""How long the rows of a batch that is over tell what was sent: the same file is known by them."""
LEFT_TO_WORK: Final = timedelta(days=1)
"""For how long after its time what came of a batch is kept to be worked on."""
FAILED_KEPT: Final = timedelta(days=14)
"""For how long what came of a batch that was given up is kept, so that support may have it tried again."""


MARGIN: Final = timedelta(hours=1)
"""For how long bytes outlive the time at which a worker is to take them away."""


class NothingLeft(Exception):
    """What came of a batch came again with another one: it cannot be tried again."""


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
                batches.finish(batch.uid, batch.pk)
            else:
                end(batch, SyncBatch.State.EXPIRED)
        except (ProviderError, batches.BatchNotFound) as error:
            log.warning("sync_batch_not_expired", batch=batch.pk, error=type(error).__name__)
            continue
        done += 1
    return done + _let_go_of_failed(now)


def _let_go_of_failed(now: datetime) -> int:
    done = 0
    for batch in given_up().filter(ended_at__lt=now - FAILED_KEPT)[:200]:
        try:
            _let_go(batch)
        except ProviderError as error:
            log.warning("sync_batch_not_expired", batch=batch.pk, error=type(error).__name__)
            continue
        done += 1
    return done


def end(batch: SyncBatch, state: str) -> None:
    """A batch is over: its rows tell of it for ``KEPT``. Its audio goes; that of one which failed, for which its user
    is not to blame, after ``FAILED_KEPT``."""
    if state == SyncBatch.State.FAILED:
        log.error("sync_batch_failed", batch=batch.pk, uid=batch.uid, tries=batch.tries)
        _keep(batch, FAILED_KEPT + MARGIN)
    else:
        _let_go(batch)
    SyncBatch.objects.filter(pk=batch.pk).update(
        state=state, ended_at=timezone.now(), until=None, due_at=None, claim=""
    )


def _keep(batch: SyncBatch, keep_for: timedelta) -> None:
    for pieces in batch.files.exclude(pieces=[]).values_list("pieces", flat=True):
        for name in pieces:
            with contextlib.suppress(audio.AudioNotFound):
                audio.keep(audio.get(name), keep_for)


def _let_go(batch: SyncBatch) -> None:
    batches.drop_pieces(batch.files.all())
    rest = (SyncFile.State.WAITING, SyncFile.State.WHOLE)
    batch.files.filter(state__in=rest).update(state=SyncFile.State.MISSING)


def given_up() -> QuerySet[SyncBatch]:
    """Return the batches that failed and of which something is still here, the oldest first."""
    here = SyncFile.objects.filter(batch=OuterRef("pk")).exclude(pieces=[])
    return SyncBatch.objects.filter(Exists(here), state=SyncBatch.State.FAILED).order_by("ended_at", "pk")


def try_again(batch_id: str) -> SyncBatch:
    """Give a batch that was given up back to the workers, which go on where they were. Raises BatchNotFound where there
    is no such batch, NothingLeft."""
    now = timezone.now()
    with transaction.atomic():
        batch = given_up().select_for_update().filter(pk=batch_id).first()
        if batch is None:
            raise batches.BatchNotFound
        left = batch.files.exclude(pieces=[])
        others = SyncFile.objects.filter(batch__uid=batch.uid, state__in=batches.KNOWN).exclude(batch=batch)
        came = left.filter(sha256__in=others.values("sha256")).count()
        if came == left.count() or (came and batch.placed):  # where its words go is decided: some would be there twice
            raise NothingLeft
        batch.state, batch.tries, batch.due_at, batch.ended_at = SyncBatch.State.QUEUED, 0, now, None
        keep_for = timedelta(days=settings.OMI_SYNC_KEEP_DAYS)
        batch.expires_at = now + keep_for
        _keep(batch, keep_for + LEFT_TO_WORK + MARGIN)
        batch.save(update_fields=["state", "tries", "due_at", "ended_at", "expires_at"])
        transaction.on_commit(partial(async_task, batches.WORK, batch.pk))
    return batch


def prune() -> int:
    """Delete rows of batches that are over for ``KEPT``; how many."""
    old = SyncBatch.objects.filter(ended_at__lt=timezone.now() - KEPT)
    delete_in_pieces(SyncFile.objects.filter(batch__in=old))
    delete_in_pieces(SyncConversation.objects.filter(batch__in=old))
    return delete_in_pieces(old)


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase which parts of a batch became a memory; that its files came stays, so that they do not come again."""
    return int(SyncConversation.objects.filter(batch__uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    """Erase a user's batches; their bytes go with the user's audio objects."""
    with transaction.atomic():
        events.lock_if_there(uid)
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
        for batch in batches.of_user(uid)
    ]  # fmt: skip
