"""A worker's turn at a batch: one at a time of each user, renewed while it works, free again when its process dies."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from memories.offline.models import SyncBatch
from memories.user_events import log as events


class LeaseLost(Exception):
    """Another worker has the batch, or it is gone: nothing more of it may be written."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to work on a batch. Every write is fenced by it."""

    batch_id: str
    claim: str

    @classmethod
    def take(cls, batch_id: str) -> Turn | None:
        """Take the turn; None where the batch is not due, somebody is at it, or at another one of its user: what two
        batches hold of one moment is placed beside each other only one after the other."""
        now, claim = timezone.now(), secrets.token_hex(8)
        found = SyncBatch.objects.filter(pk=batch_id).first()
        if found is None:
            return None
        with transaction.atomic():
            if not events.lock_if_there(found.uid):  # the account was erased
                return None
            mine = SyncBatch.objects.filter(uid=found.uid, state=SyncBatch.State.QUEUED)
            if mine.filter(until__gt=now).exists():
                return None
            free = mine.filter(Q(due_at=None) | Q(due_at__lte=now), pk=batch_id)
            if not free.update(until=_until(now), claim=claim, tries=F("tries") + 1):
                return None
        return cls(batch_id, claim)

    def renew(self) -> bool:
        """Keep the turn for another while. False where it was lost."""
        return bool(self._mine().update(until=_until(timezone.now())))

    def check(self) -> None:
        """Make sure that this worker still has its turn; raises LeaseLost."""
        if not self._mine().exists():
            raise LeaseLost

    @contextmanager
    def write(self) -> Iterator[None]:
        """A transaction in which the turn holds. Raises LeaseLost."""
        with transaction.atomic():
            if self._mine().select_for_update().first() is None:
                raise LeaseLost
            yield

    def later(self, pause: timedelta) -> str:
        """Give the turn back until a pause is over; it did not die of the batch. "waits"."""
        self._mine().update(until=None, claim="", due_at=timezone.now() + pause, tries=F("tries") - 1)
        return "waits"

    def _mine(self) -> QuerySet[SyncBatch]:
        return SyncBatch.objects.filter(pk=self.batch_id, claim=self.claim, state=SyncBatch.State.QUEUED)


def _until(now: datetime) -> datetime:
    return now + timedelta(seconds=settings.OMI_LEASE_SECONDS)
