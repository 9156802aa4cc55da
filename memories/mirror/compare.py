"""Comparing documents, vectors, audio objects, runs and mirror rows; and repairing what differs, from the documents.

A vector that was written a moment ago may not be visible yet: a check reports it, a repair that writes it again does
no harm.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import structlog

from memories.mirror import compare_parts
from memories.mirror import rows as mirror
from memories.mirror.compare_parts import PAGE, Difference, stale
from memories.mirror.models import MemoryRow, MirrorProgress, MirrorSample, PersonRow, ProcessingMemoryRow
from memories.passages import indexing, whole
from memories.pipeline.models import PostProcessingRun
from memories.privacy.erasure_parts import vectors_of
from memories.repository import memories as repository
from memories.repository import stored
from memories.repository.large import Unreadable
from memories.repository.parsing import memory_from
from memories.search import word_index
from memories.search.models import SearchTerms
from memories.shapes import Memory
from omi.core.batches import batches
from omi.core.ids import is_id
from omi.stores import damaged
from omi.stores.documents import documents
from omi.stores.models import AudioObject
from omi.stores.vectors import namespace, vector_id, vectors
from omi.stores.vectors.base import Vector

__all__ = ["KINDS", "Difference"]

log = structlog.get_logger(__name__)
KINDS = (
    "row_missing", "row_extra", "row_stale", "vector_missing", "vector_extra", "vector_stale", "words_missing",
    "words_extra", "words_stale", "run_missing", "run_extra", "run_stale", "audio_missing", "audio_extra",
    "audio_stale", "document_unreadable",
)  # fmt: skip


def users() -> list[str]:
    """Everybody of whom a document, a row or an audio object is left, in order."""
    known = set(documents().document_ids("users"))
    live = AudioObject.objects.filter(deleted_at__isnull=True)
    tables = (MemoryRow, ProcessingMemoryRow, PersonRow, SearchTerms, PostProcessingRun)
    for rows in (live, *(table.objects.order_by() for table in tables)):
        known.update(rows.values_list("uid", flat=True).distinct())
    return sorted(known - {""})


def check_user(uid: str) -> Iterator[Difference]:
    """Everything of one user."""
    ids = set(documents().document_ids(repository.collection(uid)))
    yield from check_memories(uid, sorted(ids))
    rows = MemoryRow.objects.filter(uid=uid).exclude(memory_id__in=ids)
    yield from (Difference("row_extra", uid, row.memory_id) for row in rows)
    yield from compare_parts.check_processing(uid)
    yield from compare_parts.check_people(uid)
    yield from compare_parts.extra_runs(uid, ids)
    yield from compare_parts.extra_words(uid, ids)
    yield from _extra_vectors(uid, ids)
    yield from compare_parts.check_audio(uid, ids)


def check_strays() -> Iterator[Difference]:
    """What belongs to nobody: vectors of users of whom nothing else is left, bytes without a row."""
    known = set(users())
    for page in batches(vectors().list_ids(namespace=namespace()), PAGE):
        yield from _strangers(page, known)
    yield from compare_parts.stray_audio()


def _strangers(ids: list[str], known: set[str]) -> Iterator[Difference]:
    for identity, vector in vectors().fetch(ids, namespace=namespace()).items():
        uid, memory_id = (str(vector.metadata.get(name, "")) for name in ("uid", "memory_id"))
        # Without a user in the metadata (the original's) the id begins with one.
        if uid in known or (not uid and any(identity.startswith(f"{user}-") for user in known)):
            continue
        if not (uid and memory_id and repository.glance(uid, memory_id)):  # somebody who came a moment ago
            yield Difference("vector_extra", uid, identity, "vectors", "of nobody who is known")


def check_memories(uid: str, ids: Iterable[str]) -> Iterator[Difference]:
    """These memories of one user: documents against rows, vectors, runs and words."""
    for part in batches(ids, PAGE):
        rows = {row.memory_id: row for row in MemoryRow.objects.filter(uid=uid, memory_id__in=part)}
        memories, unreadable = _read(uid, part)
        yield from (Difference("document_unreadable", uid, identity) for identity in unreadable)
        for memory in memories.values():
            yield from _compare(uid, memory, rows.get(memory.id))
        yield from _compare_vectors(uid, memories)
        yield from compare_parts.check_runs(uid, memories)
        yield from compare_parts.check_words(uid, {name: row for name, row in rows.items() if name in memories})
        for identity in set(part) - set(memories) - set(unreadable):
            if identity in rows:
                yield Difference("row_extra", uid, identity)


def check_sample(count: int = 50) -> list[Difference]:
    """Memories and audio objects by chance, and how many memories their users have: for the schedule.

    Leaves a ``MirrorSample``, from which the metric ``omi_mirror_differences`` is made.
    """
    by_user: dict[str, list[str]] = {}
    for uid, identity in MemoryRow.objects.filter(pk__in=_by_chance(MemoryRow, count)).values_list("uid", "memory_id"):
        by_user.setdefault(uid, []).append(identity)
    found = [difference for uid, ids in by_user.items() for difference in check_memories(uid, ids)]
    for uid in sorted(by_user):  # a row that was never made cannot be drawn
        there, rows = documents().count(repository.collection(uid)), MemoryRow.objects.filter(uid=uid).count()
        if there != rows:
            kind = "row_missing" if there > rows else "row_extra"
            found.append(Difference(kind, uid, "", detail=f"{there} documents, {rows} rows"))
    for row in AudioObject.objects.filter(pk__in=_by_chance(AudioObject, count), deleted_at__isnull=True):
        found += compare_parts.compare_audio(row)
    counts = {kind: sum(difference.kind == kind for difference in found) for kind in KINDS}
    MirrorSample.objects.create(checked=sum(map(len, by_user.values())), differences=counts)
    if found:
        log.warning("mirror.differences", count=len(found), kinds=sorted({difference.kind for difference in found}))
    return found


def rebuild_user(uid: str) -> int:
    """Make the rows, words and vectors of a user again from the documents. Repeatable. How many were repaired."""
    repaired = sum(repair(difference) for difference in list(check_user(uid)))
    indexing.index_again(uid)
    while word_index.refresh(uid, 1000):
        pass
    return repaired


def repair(difference: Difference) -> bool:
    """Put one difference right. False for what only a person can (an unreadable document, lost bytes)."""
    try:
        return _repair(difference)
    except Unreadable:  # reported where it was met
        return False


def _repair(difference: Difference) -> bool:
    uid, identity = difference.uid, difference.identity
    if difference.kind == "vector_extra":
        vectors().delete([identity], namespace=namespace())
        return True
    if difference.kind == "vector_missing":
        indexing.index_again(uid, [identity])
    if difference.kind in {"vector_missing", "vector_stale"}:
        memory = repository.find_memory(uid, identity)
        if memory is not None and _has_vector(memory):
            whole.write(uid, [memory])
        return memory is not None
    return compare_parts.repair(difference)


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


def _by_chance(table: Any, count: int) -> list[int]:
    keys = table.objects.order_by("pk").values_list("pk", flat=True)
    oldest, newest = keys.first(), keys.last()
    if oldest is None or newest is None:
        return []
    between = range(oldest, newest + 1)  # not from 1: a table whose first million rows are gone would hardly be met
    return random.sample(between, min(count, len(between)))


def _has_vector(memory: Memory) -> bool:
    return not memory.deleted and whole.has_vector(memory)


def _read(uid: str, ids: list[str]) -> tuple[dict[str, Memory], list[str]]:
    found = documents().get_many([repository.memory_path(uid, identity) for identity in ids])
    memories: dict[str, Memory] = {}
    unreadable = []
    for document, bad in stored.read_each(list(found.values())):
        if document is None:
            unreadable += [bad] if bad else []
            continue
        try:
            memories[document.id] = memory_from(document)
        except Unreadable as error:
            damaged.report(document.path, error)
            unreadable.append(document.id)
    return memories, unreadable


def _compare(uid: str, memory: Memory, row: MemoryRow | None) -> Iterator[Difference]:
    if row is None:
        yield Difference("row_missing", uid, memory.id)
        return
    wrong = stale(row, mirror.memory_values(memory))
    if wrong:
        yield Difference("row_stale", uid, memory.id, detail=wrong)


def _compare_vectors(uid: str, memories: Mapping[str, Memory]) -> Iterator[Difference]:
    kept = [memory for memory in memories.values() if _has_vector(memory) and is_id(uid) and is_id(memory.id)]
    wanted = {vector_id(uid, memory.id): memory for memory in kept}
    found = vectors().fetch(list(wanted), namespace=namespace()) if wanted else {}
    yield from _compare_passages(uid, {memory.id for memory in kept})
    for identity, memory in wanted.items():
        vector = found.get(identity)
        if vector is None:
            yield Difference("vector_missing", uid, memory.id, "vectors")
            continue
        told = vector.metadata
        if told.get("uid") != uid or abs(float(str(told.get("created_at", 0))) - memory.created_at.timestamp()) > 1:
            yield Difference("vector_stale", uid, memory.id, "vectors", "metadata")


def _compare_passages(uid: str, ids: set[str]) -> Iterator[Difference]:
    """The last passage of each memory: all of them, or none, were written before its row said how many."""
    last = {identity: memory_id for memory_id, identity in indexing.last_passages(uid, ids).items()}
    found = vectors().fetch(list(last), namespace=namespace()) if last else {}
    yield from (Difference("vector_missing", uid, last[name], "passages") for name in last if name not in found)


def _extra_vectors(uid: str, ids: set[str]) -> Iterator[Difference]:
    """Vectors of no memory, or of one that has none. Whose a vector is: by the id rule, else as its metadata says."""
    by_rule = {vector_id(uid, identity): identity for identity in ids}
    found = vectors_of(uid)
    for page in batches(found, PAGE):
        part = vectors().fetch(page, namespace=namespace())
        of = {name: by_rule.get(name) or str(item.metadata.get("memory_id", "")) for name, item in part.items()}
        memories, unreadable = _read(uid, sorted(set(of.values()) & ids))
        for identity, memory_id in of.items():
            if memory_id not in unreadable and not _may_have(memories.get(memory_id), part[identity]):
                yield Difference("vector_extra", uid, identity, "vectors")


def _may_have(memory: Memory | None, vector: Vector) -> bool:
    """Passages are embedded as soon as a memory has words, itself when it has a summary."""
    if memory is None:
        return False
    passage = vector.metadata.get("kind") == indexing.KIND
    return not (memory.deleted or memory.discarded) if passage else _has_vector(memory)
