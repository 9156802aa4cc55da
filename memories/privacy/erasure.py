"""Erasing: a memory, or a user, from every store, with a receipt that says what was removed where.

What is to go is marked first, so that nobody finds it and runs in flight stop. Then each store is emptied, documents
last: where one is out of reach the others are emptied all the same, the receipt stays open, and ``finish_pending`` (a
schedule) takes it up again. Every part may be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Exists, OuterRef
from pydantic import BaseModel, Field

from memories.insights import figures as insights
from memories.mirror import rows as mirror
from memories.mirror.models import ErasureReceipt, MemoryRow
from memories.pipeline import budgets, service
from memories.privacy.erasure_parts import erase_vectors, memory_parts, remains, user_parts
from memories.recaps import reading as recaps
from memories.repository import memories as repository
from memories.repository import tombstones
from memories.reshaping import records as reshaping
from memories.shapes import Memory
from omi.accounts import users
from omi.accounts.erased import mark_erased
from omi.accounts.models import uid_digest
from omi.core.errors import ProviderError
from omi.stores.documents import documents
from omi.stores.documents.base import DocumentError, Unreadable

log = structlog.get_logger(__name__)
Part = tuple[str, Callable[[], Any]]


class Receipt(BaseModel):
    """What an erasure did. ``erased``: per store, how many things were removed. ``failed``: stores that are taken up
    again later.

    ``restorable_until``: the memory is only hidden, and goes for good then.
    """

    kind: str
    complete: bool
    erased: dict[str, Any] = Field(default_factory=dict)
    failed: dict[str, str] = Field(default_factory=dict)
    started_at: datetime
    finished_at: datetime | None = None
    restorable_until: datetime | None = None


def erase_memory(uid: str, memory_id: str, *, now: bool = False) -> Receipt:
    """Erase a memory with all that hangs on it, or hide it for ``OMI_RESTORE_DAYS`` first (``now``: no waiting).

    Raises MemoryNotFound for one that is not there (a hidden one counts as not there unless ``now``).
    """
    began = datetime.now(UTC)
    there = repository.glance(uid, memory_id)
    if there is None or (there.deleted and not now):
        raise repository.MemoryNotFound("Memory not found")
    if not there.deleted:
        repository.delete_memory(uid, memory_id)
    if settings.OMI_RESTORE_DAYS > 0 and not now:
        return _hide(uid, memory_id, began)
    for original in reshaping.hidden_behind(uid, memory_id):  # they say the same
        hidden = repository.glance(uid, original)
        if hidden is not None and hidden.deleted:
            erase_memory(uid, original, now=True)
    receipt = ErasureReceipt.objects.create(
        subject=tombstones.memory_subject(uid, memory_id), kind="memory", uid=uid, memory_id=memory_id
    )
    return _run(receipt)


def restore_memory(uid: str, memory_id: str, *, actor: str = "system") -> Memory:
    """Bring back a memory that is only hidden. Raises MemoryNotFound where its time is over or it never was deleted,
    and BudgetSpent: its vector is made again by a run."""
    memory = repository.find_memory(uid, memory_id)
    if memory is None or not memory.deleted or memory.replaced_by or tombstones.was_erased(uid, memory_id):
        raise repository.MemoryNotFound("Memory not found")
    if memory.deleted_at is None or memory.deleted_at <= datetime.now(UTC) - timedelta(days=settings.OMI_RESTORE_DAYS):
        raise repository.MemoryNotFound("Memory not found")  # the schedule has not come to it yet

    budgets.spend(uid, runs=1)
    restored = repository.update_memory(uid, memory_id, {"deleted": False, "deleted_at": None}, unless_deleted=False)
    # Its vector went when it was hidden; the same run makes it again.
    service.start("reprocess", uid, memory_id, actor=actor, reason="restored", options={"force": True})
    return restored


def erase_user(uid: str) -> Receipt:
    """Erase everything of a user. Tokens issued until now are refused from now on."""
    mark_erased(uid)
    try:
        if users.find_user(uid) is not None:
            users.update_user(uid, account_deleted=True)  # runs in flight see it and stop
    except Unreadable:  # a damaged document is no less its owner's to erase
        documents().set(users.user_path(uid), {"uid": uid, "account_deleted": True})
    receipt = ErasureReceipt.objects.create(subject=uid_digest(uid), kind="user", uid=uid)
    return _run(receipt)


def verify_user_erased(uid: str) -> dict[str, int]:
    """Search every store for the user. Empty if nothing is left; else what was found, by store."""
    return {name: count for name, count in remains(uid).items() if count}


def finish_pending(limit: int = 100) -> int:
    """Take up erasures that did not reach every store, and memories whose time to be restored is over.

    Raises, at its end, the error of one of these that could not be begun: it has no receipt yet by which it is seen.
    """
    done = 0
    failed: ProviderError | DocumentError | None = None
    for receipt in ErasureReceipt.objects.filter(complete=False).order_by("started_at")[:limit]:
        done += _run(receipt).complete
    for row in expired(limit):
        try:
            erase_memory(row.uid, row.memory_id, now=True)
            done += 1
        except repository.MemoryNotFound:
            mirror.forget_memory(row.uid, row.memory_id)
        except (ProviderError, DocumentError) as error:
            log.warning("erasure.not_begun", memory_id=row.memory_id, error=type(error).__name__)
            failed = error
    if failed is not None:
        raise failed
    return done


def expired(limit: int) -> Iterable[MemoryRow]:
    """Hidden memories whose time is over, oldest first; without those that a merge or a split can bring back."""
    before = datetime.now(UTC) - timedelta(days=settings.OMI_RESTORE_DAYS)
    rows = MemoryRow.objects.filter(deleted=True, deleted_at__lte=before)
    pending = ErasureReceipt.objects.filter(complete=False, kind="memory").values_list("memory_id", flat=True)
    kept = reshaping.hidden().filter(uid=OuterRef("uid"), memory_id=OuterRef("memory_id"))
    return rows.exclude(Exists(kept)).exclude(memory_id__in=list(pending)).order_by("deleted_at")[:limit]


def _hide(uid: str, memory_id: str, began: datetime) -> Receipt:
    service.cancel_for_memory(uid, memory_id)
    receipt = Receipt(kind="memory", complete=True, started_at=began)
    try:
        receipt.erased["vectors"] = erase_vectors(uid, memory_id)
    except ProviderError as error:
        # Search drops hits whose memory is hidden; the vector goes with the rest at the latest.
        receipt.failed["vectors"] = error.code
    recaps.forget_memory(uid, memory_id)
    insights.forget_memory(uid, memory_id)
    receipt.finished_at = datetime.now(UTC)
    receipt.restorable_until = began + timedelta(days=settings.OMI_RESTORE_DAYS)
    return receipt


def _run(row: ErasureReceipt) -> Receipt:
    """Every part, whatever became of the one before; the documents only when all others are done."""
    parts: list[Part] = user_parts(row.uid) if row.kind == "user" else memory_parts(row.uid, row.memory_id)
    failed: dict[str, str] = {}
    row.tries += 1
    for name, part in parts:
        if name in LAST and failed.keys() - INDEPENDENT:
            break
        try:
            row.erased[name] = _sum(row.erased.get(name), part())
        except (ProviderError, DocumentError, DatabaseError, OSError) as error:
            failed[name] = getattr(error, "code", "") or type(error).__name__
            log.warning("erasure.part_failed", kind=row.kind, part=name, error=failed[name])
    row.failed = failed
    row.complete = not failed
    if row.complete:
        row.finished_at = datetime.now(UTC)
        row.uid = row.memory_id = ""
    row.save()
    return Receipt(
        kind=row.kind,
        complete=row.complete,
        erased=row.erased,
        failed=row.failed,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


LAST = frozenset({"documents", "rows"})
"""While these are there, what is left of an unfinished erasure can be found."""

INDEPENDENT = frozenset({"runs", "hosts"})
"""What remembers by itself what is left: a vendor that is down (its tickets stay in the runs) delays nothing else."""


def _sum(before: Any, now: Any) -> Any:
    """Counts of several tries together."""
    if isinstance(now, dict):
        told = before if isinstance(before, dict) else {}
        return {key: _sum(told.get(key), value) for key, value in now.items()}
    return (before if isinstance(before, int) else 0) + int(now or 0)
