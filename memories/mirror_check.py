"""Comparing documents, vectors, audio objects and mirror rows; and repairing what differs, from the documents.

A vector that was written a moment ago may not be visible yet: a check reports it, a repair that writes it again does
no harm.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from memories import mirror
from memories.models import MemoryRow, MirrorProgress, PersonRow, ProcessingMemoryRow
from memories.repository import memories as repository
from memories.repository import stored
from memories.repository.large import Unreadable
from memories.repository.parsing import memory_from, processing_from
from memories.shapes import Memory
from omi.metrics import mirror_checked_total, mirror_differences
from omi.providers import one
from omi.stores import audio
from omi.stores.documents import documents, path
from omi.stores.documents.base import Document
from omi.stores.vectors import namespace, vector_id, vectors
from omi.stores.vectors.base import Vector

log = structlog.get_logger(__name__)
PAGE = 100
KINDS = (
    "row_missing", "row_extra", "row_stale", "vector_missing", "vector_extra", "vector_stale", "audio_missing",
    "audio_extra", "document_unreadable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """``kind`` out of KINDS; ``store`` says which rows or objects; ``detail`` names fields, never contents."""

    kind: str
    uid: str
    identity: str
    store: str = "memories"
    detail: str = ""


def users() -> list[str]:
    """Everybody of whom a document or a row is left, in order."""
    known = set(documents().document_ids("users"))
    for rows in (MemoryRow, ProcessingMemoryRow, PersonRow):
        known.update(rows.objects.values_list("uid", flat=True).distinct())
    return sorted(known)


def check_user(uid: str) -> Iterator[Difference]:
    """Everything of one user."""
    ids = set(documents().document_ids(repository.collection(uid)))
    yield from check_memories(uid, sorted(ids))
    rows = MemoryRow.objects.filter(uid=uid).exclude(memory_id__in=ids)
    yield from (Difference("row_extra", uid, row.memory_id) for row in rows)
    yield from _check_processing(uid)
    yield from _check_people(uid)
    yield from _extra_vectors(uid, ids)
    yield from _check_audio(uid, ids)


def check_memories(uid: str, ids: Iterable[str]) -> Iterator[Difference]:
    """These memories of one user: documents against rows and vectors."""
    wanted = list(ids)
    for start in range(0, len(wanted), PAGE):
        part = wanted[start : start + PAGE]
        rows = {row.memory_id: row for row in MemoryRow.objects.filter(uid=uid, memory_id__in=part)}
        memories, unreadable = _read(uid, part)
        yield from (Difference("document_unreadable", uid, identity) for identity in unreadable)
        for memory in memories.values():
            yield from _compare(uid, memory, rows.get(memory.id))
        yield from _compare_vectors(uid, memories)
        for identity in set(part) - set(memories) - set(unreadable):
            if identity in rows:
                yield Difference("row_extra", uid, identity)
        mirror_checked_total.inc(len(part))


def check_sample(count: int = 50) -> list[Difference]:
    """Some memories by chance, for the schedule: sets the metric ``omi_mirror_differences``."""
    newest = MemoryRow.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    chosen = random.sample(range(1, newest + 1), min(count, newest))
    by_user: dict[str, list[str]] = {}
    for uid, identity in MemoryRow.objects.filter(pk__in=chosen).values_list("uid", "memory_id"):
        by_user.setdefault(uid, []).append(identity)
    found = [difference for uid, ids in by_user.items() for difference in check_memories(uid, ids)]
    for kind in KINDS:
        mirror_differences.labels(kind).set(sum(difference.kind == kind for difference in found))
    if found:
        log.warning("mirror.differences", count=len(found), kinds=sorted({difference.kind for difference in found}))
    return found


def rebuild_user(uid: str) -> int:
    """Make the rows and vectors of a user again from the documents. Repeatable. Returns how many were repaired."""
    repaired = 0
    for difference in list(check_user(uid)):
        repaired += repair(difference)
    return repaired


def repair(difference: Difference) -> bool:
    """Put one difference right. False for what only a person can (an unreadable document, lost bytes)."""
    uid, identity = difference.uid, difference.identity
    if difference.kind == "vector_extra":
        vectors().delete([identity], namespace=namespace())
        return True
    if difference.kind == "audio_extra":
        return audio.delete(identity)
    if difference.kind in {"vector_missing", "vector_stale"}:
        memory = repository.find_memory(uid, identity)
        if memory is not None:
            write_vectors(uid, [memory])
        return memory is not None
    if difference.kind.startswith("row_"):
        _REPAIR[difference.store](uid, identity)
        return True
    return False


def rebuild(uids: Iterable[str], *, progress: Callable[[str], None] | None = None) -> int:
    """Every user of ``uids``, going on behind the last one that a stopped rebuild had done."""
    job, _ = MirrorProgress.objects.get_or_create(job="mirror")
    repaired = 0
    for uid in sorted(uids):
        if uid > job.position:
            repaired += rebuild_user(uid)
            job.position, job.done = uid[:500], job.done + 1
            job.save()
        if progress is not None:
            progress(uid)
    job.delete()
    return repaired


def write_vectors(uid: str, memories: list[Memory]) -> None:
    """Embed and store: the same text, id and metadata as the pipeline's."""
    kept = [memory for memory in memories if _has_vector(memory)]
    if not kept:
        return
    values = one("embedder").embed([memory.structured.text() for memory in kept])
    vectors().upsert(
        [
            Vector(vector_id(uid, memory.id), value, metadata_of(uid, memory))
            for memory, value in zip(kept, values, strict=True)
        ],
        namespace=namespace(),
    )


def metadata_of(uid: str, memory: Memory) -> dict[str, Any]:
    """``created_at`` in seconds of the memory's own time (the original: time of the upsert divided by 1000)."""
    return {
        "uid": uid,
        "memory_id": memory.id,
        "created_at": int(memory.created_at.timestamp()),
        "category": memory.structured.category.value,
    }


def _has_vector(memory: Memory) -> bool:
    return not memory.deleted and not memory.discarded and bool(memory.structured.title)


def _read(uid: str, ids: list[str]) -> tuple[dict[str, Memory], list[str]]:
    found = documents().get_many([repository.memory_path(uid, identity) for identity in ids])
    memories: dict[str, Memory] = {}
    unreadable = []
    for document in found.values():
        try:
            whole = stored.read_all([document])
            if whole:
                memories[document.id] = memory_from(whole[0])
        except Unreadable:
            unreadable.append(document.id)
    return memories, unreadable


def _compare(uid: str, memory: Memory, row: MemoryRow | None) -> Iterator[Difference]:
    if row is None:
        yield Difference("row_missing", uid, memory.id)
        return
    wrong = _stale(row, mirror.memory_values(memory))
    if wrong:
        yield Difference("row_stale", uid, memory.id, detail=wrong)


def _compare_vectors(uid: str, memories: Mapping[str, Memory]) -> Iterator[Difference]:
    wanted = {vector_id(uid, memory.id): memory for memory in memories.values() if _has_vector(memory)}
    found = vectors().fetch(list(wanted), namespace=namespace()) if wanted else {}
    for identity, memory in wanted.items():
        vector = found.get(identity)
        if vector is None:
            yield Difference("vector_missing", uid, memory.id, "vectors")
            continue
        told = vector.metadata
        if told.get("uid") != uid or abs(float(str(told.get("created_at", 0))) - memory.created_at.timestamp()) > 1:
            yield Difference("vector_stale", uid, memory.id, "vectors", "metadata")


def _extra_vectors(uid: str, ids: set[str]) -> Iterator[Difference]:
    """Vectors of no memory, or of one that has none. Whose a vector is: by the id rule, else as its metadata says."""
    from memories.erasure_parts import vectors_of

    by_rule = {vector_id(uid, identity): identity for identity in ids}
    found = vectors_of(uid)
    for start in range(0, len(found), PAGE):
        for identity, vector in vectors().fetch(found[start : start + PAGE], namespace=namespace()).items():
            memory_id = by_rule.get(identity) or str(vector.metadata.get("memory_id", ""))
            memory = repository.find_memory(uid, memory_id) if memory_id in ids else None
            if memory is None or not _has_vector(memory):
                yield Difference("vector_extra", uid, identity, "vectors")


def _check_audio(uid: str, ids: set[str]) -> Iterator[Difference]:
    for row in audio.for_user(uid):
        if row.complete and not audio.exists(row):
            yield Difference("audio_missing", uid, row.name, "audio", row.purpose)
        elif row.memory_id and row.purpose == "recording" and row.memory_id not in ids:
            yield Difference("audio_extra", uid, row.name, "audio", row.purpose)


def _check_processing(uid: str) -> Iterator[Difference]:
    rows = {row.processing_memory_id: row for row in ProcessingMemoryRow.objects.filter(uid=uid)}
    for document in _all(path("users", uid, "processing_memories")):
        row = rows.pop(document.id, None)
        wrong = _stale(row, mirror.processing_values(processing_from(document))) if row else ""
        if row is None or wrong:
            yield Difference("row_stale" if row else "row_missing", uid, document.id, "processing_memories", wrong)
    yield from (Difference("row_extra", uid, identity, "processing_memories") for identity in rows)


def _check_people(uid: str) -> Iterator[Difference]:
    rows = {row.person_id: row for row in PersonRow.objects.filter(uid=uid)}
    for document in documents().query(path("users", uid, "people")):
        row = rows.pop(document.id, None)
        wrong = "deleted" if row and row.deleted != bool(document.data.get("deleted", False)) else ""
        if row is None or wrong:
            yield Difference("row_stale" if row else "row_missing", uid, document.id, "people", wrong)
    yield from (Difference("row_extra", uid, identity, "people") for identity in rows)


def _all(collection: str) -> Iterator[Document]:
    last: Document | None = None
    while page := documents().query(collection, limit=PAGE, start_after=last):
        last = page[-1]
        yield from stored.read_all(page)


def _stale(row: Any, values: Mapping[str, Any]) -> str:
    return ", ".join(sorted(name for name, value in values.items() if getattr(row, name) != value))


def _repair_memory(uid: str, identity: str) -> None:
    from memories import search_index

    memory = repository.find_memory(uid, identity)
    mirror.forget_memory(uid, identity)
    if memory is not None:
        mirror.record_memory(uid, memory)
    else:
        search_index.forget_memory(uid, identity)


def _repair_processing(uid: str, identity: str) -> None:
    found = stored.read(path("users", uid, "processing_memories", identity))
    if found is None:
        ProcessingMemoryRow.objects.filter(uid=uid, processing_memory_id=identity).delete()
    else:
        mirror.record_processing(uid, processing_from(found))


def _repair_person(uid: str, identity: str) -> None:
    found = documents().get(path("users", uid, "people", identity))
    if found is None:
        PersonRow.objects.filter(uid=uid, person_id=identity).delete()
        return
    created = found.data.get("created_at") or found.created_at
    updated = found.data.get("updated_at") or found.updated_at
    mirror.record_person(uid, identity, created, updated, deleted=bool(found.data.get("deleted", False)))


_REPAIR: dict[str, Callable[[str, str], None]] = {
    "memories": _repair_memory,
    "processing_memories": _repair_processing,
    "people": _repair_person,
}
