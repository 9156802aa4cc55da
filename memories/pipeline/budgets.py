"""What one user may have of what is shared, by day: runs, paid calls, bytes of uploads, searches.

Whoever takes a request calls ``spend`` first; past the budget it raises ``BudgetSpent`` (429 with ``Retry-After``).
Paid calls are counted where they are made (``paid``) and looked at by the next request: a conversation that was
recorded is always worked on. 0 means no bound. Days are those of UTC.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from memories.pipeline.models import DailyUse
from omi.core.pruning import delete_in_pieces

log = structlog.get_logger(__name__)

KEPT = timedelta(days=40)
"""Rows older than this say nothing any more; support looks at about a month."""


class Kind(StrEnum):
    """What a user's daily budget counts."""

    RUNS = "runs"
    PAID_CALLS = "paid_calls"
    UPLOAD_BYTES = "upload_bytes"
    SEARCHES = "searches"


class BudgetSpent(Exception):
    """The user has had what one may have today (429). ``seconds`` until tomorrow."""

    def __init__(self, kind: Kind, seconds: float) -> None:
        super().__init__(SENTENCES[kind])
        self.kind = kind
        self.seconds = seconds


SENTENCES = {
    Kind.RUNS: "This account has had as much processed today as it may, please try again tomorrow",
    Kind.PAID_CALLS: "This account has used up what may be spent on it today, please try again tomorrow",
    Kind.UPLOAD_BYTES: "This account has uploaded as much today as it may, please try again tomorrow",
    Kind.SEARCHES: "This account has searched as often today as it may, please try again tomorrow",
}


def limit(kind: Kind) -> int:
    """How much of ``kind`` a user may have on one day; 0: there is no bound."""
    names = {
        Kind.RUNS: "OMI_RUNS_PER_DAY", Kind.PAID_CALLS: "OMI_PAID_CALLS_PER_DAY",
        Kind.UPLOAD_BYTES: "OMI_UPLOAD_BYTES_PER_DAY", Kind.SEARCHES: "OMI_SEARCHES_PER_DAY",
    }  # fmt: skip
    return int(getattr(settings, names[kind]))


def spend(uid: str, *, runs: int = 0, upload_bytes: int = 0, searches: int = 0) -> None:
    """Count what the user asks for now. Raises BudgetSpent, and counts nothing, where it is too much."""
    today = _today()
    asked = {Kind.RUNS: runs, Kind.UPLOAD_BYTES: upload_bytes, Kind.SEARCHES: searches}
    used = dict(DailyUse.objects.filter(uid=uid, day=today).values_list("kind", "amount"))
    for kind in Kind:
        most, wanted = limit(kind), asked.get(kind, 0)
        over = used.get(kind, 0) >= most if kind is Kind.PAID_CALLS else wanted and used.get(kind, 0) + wanted > most
        if most and over:
            log.warning("budget_spent", uid=uid, kind=kind.value, used=used.get(kind, 0), limit=most)
            raise BudgetSpent(kind, _left(today))
    for kind, amount in asked.items():
        if amount:
            _add(uid, today, kind, amount)


def paid(uid: str) -> None:
    """A vendor is paid for this user. Call it inside the transaction that writes the call's row, and so is fenced."""
    _add(uid, _today(), Kind.PAID_CALLS, 1)


def forget_user(uid: str) -> int:
    """Delete the daily counters of an erased user; returns how many rows there were."""
    return int(DailyUse.objects.filter(uid=uid).delete()[0])


def prune() -> int:
    """Delete the counters of days longer ago than ``KEPT``; returns how many rows were deleted."""
    return delete_in_pieces(DailyUse.objects.filter(day__lt=_today() - KEPT))


def _add(uid: str, day: date, kind: Kind, amount: int) -> None:
    row = DailyUse.objects.filter(uid=uid, day=day, kind=kind.value)
    if row.update(amount=F("amount") + amount):
        return
    try:
        with transaction.atomic():
            DailyUse.objects.create(uid=uid, day=day, kind=kind.value, amount=amount)
    except IntegrityError:  # somebody was faster
        row.update(amount=F("amount") + amount)


def _today() -> date:
    return timezone.now().astimezone(UTC).date()


def _left(today: date) -> float:
    tomorrow = datetime.combine(today + timedelta(days=1), time(), UTC)
    return max(1.0, (tomorrow - timezone.now()).total_seconds())
