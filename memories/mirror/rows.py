"""Keeping mirror rows true to their documents, one write at a time. Checking and rebuilding: ``mirror.compare``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from memories.mirror.models import MemoryRow, PersonRow, ProcessingMemoryRow, SessionRow
from memories.shapes import Memory, ProcessingMemory
from transcription.segments import end_of

LIVE_COLUMNS = frozenset({"segments", "last_audio"})
"""Columns of ``ProcessingMemoryRow`` that are renewed when a session begins, says its first words or ends, and not with
every word: while a conversation goes on they lag behind its document."""


def record_memory(uid: str, memory: Memory, values: dict[str, Any] | None = None) -> None:
    """Renew the row, unless it already shows a later revision (two writers may arrive here in the wrong order).

    ``values``: ``row_values`` of this memory, where they were counted before a transaction began.
    """
    values = values or row_values(memory)
    shown = MemoryRow.objects.filter(uid=uid, memory_id=memory.id, revision__lte=memory.revision)
    if not shown.update(**values, words_stale=True, mirrored_at=timezone.now()):
        MemoryRow.objects.get_or_create(uid=uid, memory_id=memory.id, defaults=values)


def row_values(memory: Memory) -> dict[str, Any]:
    """Return the columns of a memory's row, with the sizes of its text and photos, by name."""
    return memory_values(memory) | {"text_size": _text_size(memory), "photo_size": photo_size(memory)}


NEW_SESSIONS = 3
"""So many of a conversation's last sessions may lack a row when its own is renewed: each is told when it begins."""


def record_processing(uid: str, processing: ProcessingMemory, *, whole: bool = False) -> None:
    """Write the rows of a processing memory and its newest sessions. ``whole``: rows of its earlier sessions may be
    missing, too."""
    row, made = ProcessingMemoryRow.objects.update_or_create(
        uid=uid, processing_memory_id=processing.id, defaults=processing_values(processing)
    )
    sessions = processing.session_ids if made or whole else processing.session_ids[-NEW_SESSIONS:]
    SessionRow.objects.bulk_create(
        [SessionRow(conversation=row, session_id=_text(session, 128)) for session in sessions], ignore_conflicts=True
    )


def record_person(uid: str, person_id: str, created_at: datetime, updated_at: datetime, *, deleted: bool) -> None:
    """Write the row of a person as its document is now."""
    PersonRow.objects.update_or_create(
        uid=uid,
        person_id=person_id,
        defaults={"created_at": created_at, "updated_at": updated_at, "deleted": deleted},
    )


def on_person_changed(*, uid: str, person: Any, **_: Any) -> None:
    """Write the row of a person who changed; receiver of ``speakers.signals.person_changed``."""
    record_person(uid, person.id, person.created_at, person.updated_at, deleted=person.deleted)


def mark_deleted(uid: str, memory_id: str, at: datetime) -> None:
    """Mark the row as deleted, for a memory whose document cannot be read."""
    MemoryRow.objects.filter(uid=uid, memory_id=memory_id).update(deleted=True, deleted_at=at, words_stale=True)


def glance(uid: str, memory_id: str) -> tuple[bool, str | None]:
    """Whether the memory is deleted, and its conversation, as its row says; where there is none: (False, None)."""
    row = MemoryRow.objects.filter(uid=uid, memory_id=memory_id).first()
    return (row.deleted, row.processing_memory_id or None) if row else (False, None)


def remembered(uid: str, memory_id: str) -> dict[str, Any]:
    """What the row knows of a memory whose document is lost, as fields of a document."""
    row = MemoryRow.objects.filter(uid=uid, memory_id=memory_id).first()
    if row is None:
        return {"created_at": timezone.now()}
    return {"created_at": row.created_at, "processing_memory_id": row.processing_memory_id or None}


def replace_memory(uid: str, memory: Memory) -> None:
    """Make the row as the document is, whatever it said. The row itself stays: the console's history hangs on it."""
    values = row_values(memory) | {"words_stale": True}
    MemoryRow.objects.update_or_create(uid=uid, memory_id=memory.id, defaults=values)


def forget_memory(uid: str, memory_id: str) -> int:
    """Delete the row of a memory, and what hangs on it; returns how many rows went."""
    return int(MemoryRow.objects.filter(uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> dict[str, int]:
    """Delete the user's rows of memories, processing memories and people; returns how many of each."""
    return {
        "memory_rows": int(MemoryRow.objects.filter(uid=uid).delete()[0]),
        "processing_memory_rows": ProcessingMemoryRow.objects.filter(uid=uid)
        .delete()[1]
        .get(ProcessingMemoryRow._meta.label, 0),
        "person_rows": int(PersonRow.objects.filter(uid=uid).delete()[0]),
    }


def memory_values(memory: Memory) -> dict[str, Any]:
    """Columns of ``MemoryRow`` as the document has them."""
    told = memory.postprocessing
    return {
        "created_at": memory.created_at,
        "started_at": memory.started_at,
        "finished_at": memory.finished_at,
        "language": _text(memory.language, 32),
        "source": _text(memory.source, 64),
        "category": memory.structured.category.value,
        "discarded": memory.discarded,
        "deleted": memory.deleted,
        "deleted_at": memory.deleted_at,
        "visibility": memory.visibility.value,
        "postprocessing_status": told.status.value if told else "",
        "active_transcript": _text(memory.active_transcript, 100),
        "processing_memory_id": _text(memory.processing_memory_id, 128),
        "segments": len(memory.transcript_segments),
        "seconds": end_of(memory.transcript_segments),
        "revision": memory.revision,
        "labels": _between_blanks(memory.edits.labels()),
    }


def labelled(rows: QuerySet[MemoryRow], labels: Iterable[str]) -> QuerySet[MemoryRow]:
    """Return those of ``rows`` that bear each of these labels (ids of folders and tags)."""
    for label in labels:
        rows = rows.exclude(labels="").filter(labels__contains=f" {label} ")
    return rows


def _between_blanks(labels: Sequence[str]) -> str:
    return f" {' '.join(labels)} " if labels else ""


def processing_values(processing: ProcessingMemory) -> dict[str, Any]:
    """Columns of ``ProcessingMemoryRow`` as the document has them."""
    return {
        "device_id": _text(processing.device_id, 200),
        "memory_id": _text(processing.memory_id, 128),
        "created_at": processing.created_at,
        "finished": processing.finished,
        "segments": len(processing.transcript_segments),
        "last_audio": processing.last_audio,
    }


def _text_size(memory: Memory) -> int:
    return min(2**31 - 1, sum(len(segment.text) for segment in memory.transcript_segments))


def photo_size(memory: Memory) -> int:
    """Bytes of its photos as JSON, nearly. They are apart from the document, which tells how long they are together."""
    told = (memory.model_extra or {}).get("photo_size")
    size = sum(len(photo.base64) + len(photo.description) + 100 for photo in memory.photos)
    return min(2**31 - 1, size or (told if isinstance(told, int) and told > 0 else 0))


def _text(value: str | None, length: int) -> str:
    """As a column holds it: PostgreSQL takes neither NUL nor more than the column's length. Documents hold both."""
    return (value or "").replace("\0", "")[:length]
