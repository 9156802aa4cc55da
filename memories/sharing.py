"""Memories that their owners show to others. The document decides; the mirror row only says where to look."""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet

from memories.models import MemoryRow
from memories.repository import listing
from memories.repository import memories as repository
from memories.shapes import Memory, Visibility

_SHOWN = {Visibility.SHARED, Visibility.PUBLIC}


def rows_of(memory_id: str) -> QuerySet[MemoryRow]:
    """Return the rows of the memories of this id that their owners share."""
    return MemoryRow.objects.filter(memory_id=memory_id, visibility__in=_SHOWN)


def public_rows() -> QuerySet[MemoryRow]:
    """Return the rows of public memories, newest first."""
    rows = MemoryRow.objects.filter(visibility=Visibility.PUBLIC, deleted=False, discarded=False)
    return rows.order_by("-created_at", "memory_id")


def find_shared(memory_id: str) -> Memory | None:
    """The memory if its owner shares it. None for private, deleted and unknown ones alike."""
    for row in rows_of(memory_id):
        try:
            memory = repository.get_memory(row.uid, row.memory_id)
        except repository.MemoryNotFound:
            continue
        if memory.visibility in _SHOWN:
            return memory
    return None


def list_public(offset: int, limit: int) -> list[Memory]:
    """Public memories, newest first, up to ``OMI_ANSWER_BYTES``; filtered before the page is cut, so that it
    is full."""
    page = public_rows().values_list("uid", "memory_id")[offset : offset + limit]
    found = listing.get_bounded(list(page), listing.Room(settings.OMI_ANSWER_BYTES))
    return [memory for _, memory in found if memory.visibility == Visibility.PUBLIC]
