"""The vector of a whole memory, embedded without a run: of what a merge or a split makes, and where it is missing."""

from __future__ import annotations

from collections.abc import Sequence

from memories.passages import indexing
from memories.pipeline import vector_writes
from memories.shapes import Memory
from omi.core.batches import batches


def has_vector(memory: Memory) -> bool:
    """Whether a memory that is shown has a vector: not while it is set aside, or nobody has said what it is about."""
    return not memory.discarded and bool(memory.structured.title)


def write(uid: str, memories: Sequence[Memory]) -> None:
    """Embed these memories as they are now and write their vectors, with the text, id and metadata of a run's; take
    away that of one that has none. Raises ProviderError, InvalidVector."""
    for part in batches(memories, indexing.AT_ONCE):
        kept = [memory for memory in part if has_vector(memory)]
        values = indexing.values_of(uid, [memory.structured.text() for memory in kept]) if kept else []
        found = {memory.id: value for memory, value in zip(kept, values, strict=True) if any(value)}
        for memory in part:
            vector_writes.write(uid, memory, found.get(memory.id))
