"""The trash: memories that the user deleted less than ``OMI_RESTORE_DAYS`` ago, apart from those that were discarded.

A memory that a run discards (small talk) is in the list of memories; one that its owner deleted is here alone.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Q, QuerySet

from memories.mirror.models import MemoryRow
from memories.privacy import erasure
from memories.repository.memories import MemoryNotFound, memory_path
from memories.reshaping import records as reshaping
from omi.core.batches import batches
from omi.stores.documents import documents

ERASED_AT_ONCE: Final = 25
"""Memories that one request to empty the trash erases: each is taken out of every store."""


@dataclass(frozen=True, slots=True)
class Trashed:
    """A deleted memory and until when it can be restored. ``title`` is empty where its document cannot be read."""

    memory_id: str
    title: str
    created_at: datetime
    deleted_at: datetime
    restorable_until: datetime


def listed(uid: str, *, before: str | None, limit: int) -> list[Trashed]:
    """The trash, last deleted first; ``before``: the memory's id that ended the page before. Raises MemoryNotFound."""
    rows = _rows(uid).order_by("-deleted_at", "-memory_id")
    if before is not None:
        last = _row(uid, before)
        rows = rows.filter(Q(deleted_at__lt=last.deleted_at) | Q(deleted_at=last.deleted_at, memory_id__lt=before))
    page = list(rows[:limit])
    found: dict[str, Any] = {}
    for part in batches(page, 20):
        paths = [memory_path(uid, row.memory_id) for row in part]
        found |= {path: item.data.get("structured") for path, item in documents().get_many(paths).items()}
    told = []
    for row in page:
        structured = found.get(memory_path(uid, row.memory_id))
        title = structured.get("title") if isinstance(structured, dict) else ""
        deleted = row.deleted_at or datetime.now(UTC)
        until = deleted + timedelta(days=settings.OMI_RESTORE_DAYS)
        told.append(Trashed(row.memory_id, str(title or ""), row.created_at, deleted, until))
    return told


def empty(uid: str, memory_id: str) -> None:
    """Erase a memory of the trash for good, at once. Raises MemoryNotFound where it is not in the trash."""
    _row(uid, memory_id)
    erasure.erase_memory(uid, memory_id, now=True)


def empty_all(uid: str) -> tuple[int, int]:
    """Erase the memories that have been in the trash for longest for good, ``ERASED_AT_ONCE`` at most, each with its
    receipt: how many were erased, and how many are left in the trash."""
    erased = 0
    for memory_id in list(_rows(uid).order_by("deleted_at").values_list("memory_id", flat=True)[:ERASED_AT_ONCE]):
        with contextlib.suppress(MemoryNotFound):  # erased meanwhile
            erased += erasure.erase_memory(uid, memory_id, now=True).complete
    return erased, _rows(uid).count()


def _rows(uid: str) -> QuerySet[MemoryRow]:
    since = datetime.now(UTC) - timedelta(days=settings.OMI_RESTORE_DAYS)
    replaced = reshaping.hidden().filter(uid=uid).values("memory_id")
    return MemoryRow.objects.filter(uid=uid, deleted=True, deleted_at__gt=since).exclude(memory_id__in=replaced)


def _row(uid: str, memory_id: str) -> MemoryRow:
    found = _rows(uid).filter(memory_id=memory_id).first()
    if found is None:
        raise MemoryNotFound("Memory not found")
    return found
