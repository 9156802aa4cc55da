"""What ``mirror.compare`` compares beside memories and their vectors: conversations, people, runs, words, audio."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from memories.mirror import rows as mirror
from memories.mirror.models import MemoryRow, PersonRow, ProcessingMemoryRow
from memories.pipeline import service
from memories.pipeline.engine import notifications
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import Kind, State
from memories.repository import memories as repository
from memories.repository import processing, stored
from memories.repository.large import Unreadable
from memories.search import word_index
from memories.search.models import SearchTerms
from memories.shapes import Memory, PostProcessingStatus
from omi.core.batches import batches
from omi.stores import audio, damaged
from omi.stores.documents import documents, path
from omi.stores.documents.base import Document
from omi.stores.models import AudioObject

PAGE = 100
_OURS = re.compile(r"[0-9a-f]{32}(\.[a-z0-9]{1,8})?\Z")
"""Names that ``audio.put`` gives: whatever else lies in the storage is not ours to judge."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between a document and what mirrors it. ``kind`` out of ``mirror.compare.KINDS``; ``store`` says
    which rows or objects; ``detail`` names fields, never contents. ``uid`` is empty for what belongs to nobody who is
    known."""

    kind: str
    uid: str
    identity: str
    store: str = "memories"
    detail: str = ""


# --- conversations and people


def check_processing(uid: str) -> Iterator[Difference]:
    """Yield where the rows of the user's processing memories differ from their documents."""
    mirrored = ProcessingMemoryRow.objects.filter(uid=uid).prefetch_related("sessions")
    rows = {row.processing_memory_id: row for row in mirrored}
    for found in _all(path("users", uid, "processing_memories")):
        row, sessions = rows.pop(found.id, None), set[str]()
        [(whole, bad)] = stored.read_each([found])
        try:
            if bad:
                raise Unreadable(found.path)
            values = {}
            if whole:
                conversation = processing.read(whole)
                values, sessions = mirror.processing_values(conversation), set(conversation.session_ids)
        except Unreadable as error:
            damaged.report(found.path, error)
            yield Difference("document_unreadable", uid, found.id, "processing_memories")
            continue
        if not values.get("finished"):
            values = {name: value for name, value in values.items() if name not in mirror.LIVE_COLUMNS}
        wrong = stale(row, values) if row else ""
        if row and not sessions <= {session.session_id for session in row.sessions.all()}:
            wrong = wrong or "sessions"
        if row is None or wrong:
            yield Difference("row_stale" if row else "row_missing", uid, found.id, "processing_memories", wrong)
    yield from (Difference("row_extra", uid, identity, "processing_memories") for identity in rows)


def check_people(uid: str) -> Iterator[Difference]:
    """Yield where the rows of the user's people differ from their documents."""
    rows = {row.person_id: row for row in PersonRow.objects.filter(uid=uid)}
    for document in documents().query(path("users", uid, "people")):
        row = rows.pop(document.id, None)
        if document.damaged:
            damaged.report(document.path, Unreadable(document.path))
            yield Difference("document_unreadable", uid, document.id, "people")
            continue
        wrong = stale(row, _person_values(document)) if row else ""
        if row is None or wrong:
            yield Difference("row_stale" if row else "row_missing", uid, document.id, "people", wrong)
    yield from (Difference("row_extra", uid, identity, "people") for identity in rows)


def _person_values(document: Document) -> dict[str, Any]:
    return {
        "created_at": document.data.get("created_at") or document.created_at,
        "updated_at": document.data.get("updated_at") or document.updated_at,
        "deleted": bool(document.data.get("deleted", False)),
    }


def _all(collection: str) -> Iterator[Document]:
    last: Document | None = None
    while page := documents().query(collection, limit=PAGE, start_after=last):
        last = page[-1]
        yield from page


def stale(row: Any, values: Mapping[str, Any]) -> str:
    """Return the names of the row's fields that differ from ``values``, joined by commas; empty where none does."""
    return ", ".join(sorted(name for name, value in values.items() if getattr(row, name) != value))


# --- runs: the rows are the truth about work, the memory's document tells of it


def check_runs(uid: str, memories: Mapping[str, Memory]) -> Iterator[Difference]:
    """What documents say of their post-processing, against the runs."""
    told = {identity: memory.postprocessing for identity, memory in memories.items() if memory.postprocessing}
    runs = PostProcessingRun.objects.filter(uid=uid, memory_id__in=told)
    at_work = set(runs.exclude(state=State.FINISHED, notified=True).values_list("memory_id", flat=True))
    ended = {str(run.pk): run for run in runs.filter(kind=Kind.POSTPROCESS, state=State.FINISHED, notified=True)}
    for identity, status in told.items():
        if identity in at_work:
            continue
        run = ended.get(status.run_id or "")
        if run is not None and status.status != notifications.status_of(run):
            yield Difference("run_stale", uid, identity, "runs", f"run {run.pk} ended as {run.outcome}")
        elif run is None and status.status == PostProcessingStatus.IN_PROGRESS:
            yield Difference("run_missing", uid, identity, "runs", "in progress without a run")


def extra_runs(uid: str, ids: Collection[str]) -> Iterator[Difference]:
    """Yield work that goes on for memories that are gone. (A capture's memory is not there yet.)"""
    runs = PostProcessingRun.objects.filter(uid=uid).exclude(state=State.FINISHED).exclude(kind=Kind.CAPTURE)
    for identity in sorted(set(runs.values_list("memory_id", flat=True)) - set(ids)):
        yield Difference("run_extra", uid, identity, "runs")


# --- the word index


def check_words(uid: str, rows: Mapping[str, MemoryRow]) -> Iterator[Difference]:
    """Compare rows that say that they are indexed with the index; what is marked to be read again is no difference."""
    entries = {entry.memory_id: entry for entry in SearchTerms.objects.filter(uid=uid, memory_id__in=list(rows))}
    for identity, row in rows.items():
        if not row.words_stale and not row.deleted and not word_index.current(entries.get(identity), row.revision):
            yield Difference("words_stale" if identity in entries else "words_missing", uid, identity, "words")


def extra_words(uid: str, ids: Collection[str]) -> Iterator[Difference]:
    """Yield the word index's entries of memories that are not among ``ids``."""
    for identity in SearchTerms.objects.filter(uid=uid).values_list("memory_id", flat=True):
        if identity not in ids:
            yield Difference("words_extra", uid, identity, "words")


# --- audio objects


def check_audio(uid: str, ids: Collection[str]) -> Iterator[Difference]:
    """Yield the user's audio that is missing, of another size, or a recording of no memory among ``ids``."""
    for row in audio.for_user(uid):
        yield from compare_audio(row)
        if row.memory_id and row.purpose == AudioObject.Purpose.RECORDING and row.memory_id not in ids:
            yield Difference("audio_extra", uid, row.name, "audio", row.purpose)


def compare_audio(row: AudioObject) -> Iterator[Difference]:
    """Yield a difference where a stored audio object is missing or not as long as its row says."""
    size = audio.stored_size(row) if row.complete else row.size
    if size is None:
        yield Difference("audio_missing", row.uid, row.name, "audio", row.purpose)
    elif size != row.size:
        yield Difference("audio_stale", row.uid, row.name, "audio", f"{size} bytes, not {row.size}")


def stray_audio() -> Iterator[Difference]:
    """Bytes in the storage that no row speaks of."""
    for part in batches((name for name in audio.names() if _OURS.match(name)), PAGE):
        known = AudioObject.objects.filter(name__in=part, deleted_at__isnull=True).values_list("name", flat=True)
        yield from (Difference("audio_extra", "", name, "audio") for name in sorted(set(part) - set(known)))


# --- repairs


def repair(difference: Difference) -> bool:
    """Put one of these right. False for what only a person can (lost or damaged bytes)."""
    uid, identity = difference.uid, difference.identity
    if difference.kind == "audio_extra":
        return audio.delete(identity) or audio.delete_stray(identity)
    chosen = _REPAIR.get((difference.kind.split("_")[0], difference.store))
    if chosen is None:
        return False
    chosen(uid, identity)
    return True


def _repair_memory(uid: str, identity: str) -> None:
    memory = repository.find_memory(uid, identity)
    if memory is not None:
        mirror.replace_memory(uid, memory)
    else:
        mirror.forget_memory(uid, identity)
        word_index.forget_memory(uid, identity)


def _repair_processing(uid: str, identity: str) -> None:
    found = stored.read(path("users", uid, "processing_memories", identity))
    if found is None:
        ProcessingMemoryRow.objects.filter(uid=uid, processing_memory_id=identity).delete()
    else:
        mirror.record_processing(uid, processing.read(found), whole=True)


def _repair_person(uid: str, identity: str) -> None:
    found = documents().get(path("users", uid, "people", identity))
    if found is None:
        PersonRow.objects.filter(uid=uid, person_id=identity).delete()
    else:
        mirror.record_person(uid, identity, **_person_values(found))


def _repair_words(uid: str, identity: str) -> None:
    word_index.forget_memory(uid, identity)
    MemoryRow.objects.filter(uid=uid, memory_id=identity).update(words_stale=True)


def _repair_run(uid: str, identity: str) -> None:
    """Tell the document how its run really ended; end what works for nothing."""
    memory = repository.find_memory(uid, identity)
    if memory is None or memory.deleted:
        service.cancel_for_memory(uid, identity)
        return
    told = memory.postprocessing.run_id if memory.postprocessing else None
    run = PostProcessingRun.objects.filter(uid=uid, memory_id=identity, pk=told).first() if told else None
    if run is not None:
        notifications.mark(run, notifications.status_of(run))
    else:
        notifications.interrupted(uid, identity)


_REPAIR: dict[tuple[str, str], Callable[[str, str], None]] = {
    ("row", "memories"): _repair_memory,
    ("row", "processing_memories"): _repair_processing,
    ("row", "people"): _repair_person,
    ("words", "words"): _repair_words,
    ("run", "runs"): _repair_run,
}
