"""Putting memories in the place of others, and the others back: each is one transaction over all their documents.

Nobody ever sees half of it: either the old memories are there or the new ones. The mirror rows follow, in the same
database transaction where the documents lie in the database, else right behind it; writing them again does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from django.db import transaction

from memories.mirror import rows
from memories.repository import stored, tombstones
from memories.repository.memories import MemoryNotFound, find_memory, may_be_made, memory_path, new_document
from memories.shapes import Memory
from omi.accounts.erased import Fence
from omi.stores.documents import documents
from omi.stores.documents.base import Document, Transaction


class Changed(Exception):
    """One of the memories is not (or no longer) as the caller has read it: read them again."""


def replace(
    uid: str,
    old: Sequence[Memory],
    new: Sequence[Memory],
    *,
    goes_at: datetime,
    beside: Mapping[str, Sequence[stored.Packed]] | None = None,
    fence: Fence = lambda: None,
    then: Callable[[], None] = lambda: None,
) -> None:
    """Hide ``old`` until ``goes_at`` and make ``new``, all in one transaction.

    ``old``: as they were read; the transaction compares their revisions. ``beside``: further documents of a new memory,
    by its id. ``fence`` is called inside of the transaction; what it raises refuses all. ``then`` is called after it,
    in one database transaction with the mirror rows.
    Raises Changed, AlreadyExists (a new id was used before, or the account is gone), TooLarge, Unreadable.
    """
    new = [memory.model_copy(update={"revision": 1}) for memory in new]
    now = datetime.now(UTC)
    marks = {"deleted": True, "deleted_at": now, "goes_at": goes_at, "replaced_by": [memory.id for memory in new]}
    hidden = [memory.model_copy(update={**marks, "revision": memory.revision + 1}) for memory in old]
    left_out = tombstones.people(uid)
    packed = [(memory, new_document(uid, memory, left_out), rows.row_values(memory)) for memory in new]

    def step(current: Transaction) -> None:
        for memory in new:
            may_be_made(uid, memory.id, left_out, fence, current)
        for memory in old:
            found = current.get(memory_path(uid, memory.id))
            if found is None or found.data.get("deleted") or _revision(found) != memory.revision:
                raise Changed(memory.id)
        for memory, document, _ in packed:
            current.create(document.path, document.data)
            for part in (document, *(beside or {}).get(memory.id, ())):
                for path, data in ([] if part is document else [(part.path, part.data)]) + list(part.beside.items()):
                    current.set(path, data)
        for memory in hidden:
            current.update(memory_path(uid, memory.id), {**marks, "revision": memory.revision})

    try:
        with transaction.atomic():
            documents().transaction(step)
            for memory, _, values in packed:
                rows.record_memory(uid, memory, values)
            for memory in hidden:
                rows.record_memory(uid, memory)
            then()
    except stored.Overtaken as error:
        raise Changed(str(error)) from error


def replaced(uid: str, old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether ``new`` stand in the place of ``old`` at this moment, as the documents say."""
    found = documents().get_many([memory_path(uid, memory_id) for memory_id in old])
    told = [document.data for document in found.values()]
    return len(told) == len(old) and all(
        bool(data.get("deleted")) and data.get("replaced_by") == list(new) for data in told
    )


def bring_back(uid: str, old: Sequence[str], new: Sequence[str], *, then: Callable[[], None] = lambda: None) -> None:
    """Show ``old`` again, exactly as they were, and hide ``new`` for good, in one transaction. Done twice it is once.

    Raises MemoryNotFound where one of ``old`` is gone or was not replaced by ``new``, Changed where one of ``new`` is
    in the trash or was replaced itself. One that was erased for good is in nobody's way.
    """
    now = datetime.now(UTC)

    def step(current: Transaction) -> None:
        found = {memory_id: current.get(memory_path(uid, memory_id)) for memory_id in (*old, *new)}
        back = []
        for memory_id in old:
            document = found[memory_id]
            if document is None or (document.data.get("deleted") and document.data.get("replaced_by") != list(new)):
                raise MemoryNotFound("Memory not found")
            if document.data.get("deleted"):
                back.append(document)
        if back and any(item is not None and item.data.get("deleted") for item in (found[name] for name in new)):
            raise Changed("what took their place")
        for document in back:
            current.update(document.path, {
                "deleted": False, "deleted_at": None, "goes_at": None, "replaced_by": [],
                "revision": _revision(document) + 1,
            })  # fmt: skip
        for memory_id in new:
            document = found[memory_id]
            if document is not None and not document.data.get("deleted"):
                current.update(document.path, {
                    "deleted": True, "deleted_at": now, "goes_at": now, "replaced_by": list(old),
                    "revision": _revision(document) + 1,
                })  # fmt: skip

    with transaction.atomic():
        documents().transaction(step)
        record(uid, [*old, *new])
        then()


def record(uid: str, memory_ids: Sequence[str]) -> None:
    """Renew the mirror rows of memories, hidden ones too: of a store outside of the database they may be behind."""
    for memory_id in memory_ids:
        memory = find_memory(uid, memory_id)
        if memory is not None:
            rows.record_memory(uid, memory)


def _revision(found: Document) -> int:
    return int(found.data.get("revision") or 0)
