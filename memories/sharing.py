"""Memories that their owners show to others. The document decides; the mirror row only says where to look."""

from __future__ import annotations

from memories.models import MemoryRow
from memories.repository import memories as repository
from memories.shapes import Memory, Visibility

_SHOWN = {Visibility.SHARED, Visibility.PUBLIC}


def find_shared(memory_id: str) -> Memory | None:
    """The memory if its owner shares it. None for private, deleted and unknown ones alike."""
    for row in MemoryRow.objects.filter(memory_id=memory_id, visibility__in=_SHOWN):
        memory = _read(row.uid, row.memory_id)
        if memory is not None and memory.visibility in _SHOWN:
            return memory
    return None


def list_public(offset: int, limit: int) -> list[Memory]:
    """Public memories, newest first; filtered before the page is cut, so that it is full (omi-protocol 4.3 no. 74)."""
    rows = MemoryRow.objects.filter(visibility=Visibility.PUBLIC, deleted=False, discarded=False)
    page = rows.order_by("-created_at", "memory_id")[offset : offset + limit]
    found = [_read(row.uid, row.memory_id) for row in page]
    return [memory for memory in found if memory is not None and memory.visibility == Visibility.PUBLIC]


def _read(uid: str, memory_id: str) -> Memory | None:
    try:
        return repository.get_memory(uid, memory_id)
    except repository.MemoryNotFound:
        return None
