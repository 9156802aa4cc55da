"""Small fields of a memory, written inside of a transaction that does more: the transcript is not looked at there.

``stored.change`` reads and computes before its own transaction; within a caller's there is no before. So the caller
reads the memory first, and the write is refused where it is another revision by now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memories.mirror import rows
from memories.repository import stored
from memories.repository.memories import MemoryNotFound, memory_path
from memories.shapes import Memory
from omi.stores.documents import documents
from omi.stores.documents.base import Transaction


@dataclass(frozen=True, slots=True)
class Seen:
    """A memory as it was read, and what its row says, counted outside of any transaction."""

    memory: Memory
    row: dict[str, Any]


def seen(memory: Memory) -> Seen:
    """Return the memory with its row's values, for ``write``; it counts the transcript: not within a transaction."""
    return Seen(memory, rows.row_values(memory))


def write(uid: str, before: Seen, fields: Mapping[str, Any]) -> Seen:
    """Write top-level ``fields`` (as JSON; neither segments nor photos), and say what is there then.

    Raises MemoryNotFound, and ``stored.Overtaken`` where the memory is no longer the one that was read.
    """
    where = memory_path(uid, before.memory.id)
    revision = before.memory.revision + 1

    def step(current: Transaction) -> None:
        found = current.get(where)
        if found is None or found.data.get("deleted"):
            raise MemoryNotFound("Memory not found")
        if (found.data.get("revision") or 0) != before.memory.revision:
            raise stored.Overtaken(where)
        current.update(where, {**fields, "revision": revision})

    documents().transaction(step)
    small = before.memory.model_copy(update={"transcript_segments": [], "photos": []})
    checked = Memory.model_validate({**small.model_dump(mode="python"), **fields, "revision": revision})
    counted = {name: before.row[name] for name in ("segments", "seconds", "text_size", "photo_size")}
    row = {**rows.memory_values(checked), **counted}
    after = checked.model_copy(
        update={"transcript_segments": before.memory.transcript_segments, "photos": before.memory.photos}
    )
    rows.record_memory(uid, after, row)
    return Seen(after, row)
