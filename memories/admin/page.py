"""What a memory's page shows. Words only where they were revealed; everything else is ids, times and counts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType

from memories.models import MemoryRow, UserEvent
from memories.pipeline import failure_catalogue
from memories.pipeline import status as statuses
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import GOOD
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.repository.large import Unreadable
from memories.shapes import Memory
from omi.core.errors import ProviderError
from omi.stores import audio
from omi.stores.documents.base import DocumentError

RUNS_SHOWN = 20


def of(row: MemoryRow, *, revealed: bool) -> dict[str, Any]:
    """The template's context for ``row``."""
    memory, problem = _document(row)
    runs = PostProcessingRun.objects.filter(uid=row.uid, memory_id=row.memory_id).order_by("-id")
    shown = list(runs.prefetch_related("steps__history", "vendor_calls", "events")[:RUNS_SHOWN])
    return {
        "row": row,
        "memory": memory if revealed else None,
        "problem": problem,
        "revealed": revealed,
        "facts": _facts(row, memory),
        "transcripts": _transcripts(row, revealed) if memory is not None else [],
        "runs": [_run(run) for run in shown],
        "more_runs": max(0, runs.count() - RUNS_SHOWN),
        "audio": audio.for_memory(row.uid, row.memory_id),
        "events": UserEvent.objects.filter(uid=row.uid, memory_id=row.memory_id).order_by("-number")[:20],
        "history": LogEntry.objects.filter(
            content_type=ContentType.objects.get_for_model(MemoryRow), object_id=str(row.pk)
        ).select_related("user")[:50],
    }


def _document(row: MemoryRow) -> tuple[Memory | None, str]:
    """The document, or why it cannot be shown; a store that is down must not hide the runs."""
    try:
        memory = repository.find_memory(row.uid, row.memory_id)
    except (ProviderError, DocumentError, Unreadable) as error:
        return None, f"The document cannot be read: {error}"
    return memory, "" if memory is not None else "There is no document any more; only this row is left."


def _facts(row: MemoryRow, memory: Memory | None) -> list[tuple[str, Any]]:
    told = memory.postprocessing if memory else None
    structured = memory.structured if memory else None
    return [
        ("User", row.uid),
        ("Memory", row.memory_id),
        ("Created", _moment(row.created_at)),
        ("Started", _moment(row.started_at)),
        ("Finished", _moment(row.finished_at)),
        ("Language", row.language or "–"),
        ("Source", row.source or "–"),
        ("Visibility", row.visibility),
        ("Processing memory", row.processing_memory_id or "–"),
        ("Shown transcript", row.active_transcript or "–"),
        ("Segments", row.segments),
        ("Why it failed", (told.fail_reason if told else None) or "–"),
        ("Action items", len(structured.action_items) if structured else "–"),
        ("Calendar events", len(structured.events) if structured else "–"),
        ("Revision", row.revision),
    ]


def _moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if value else "–"


def _transcripts(row: MemoryRow, revealed: bool) -> list[dict[str, Any]]:
    found = transcripts.list_transcripts(row.uid, row.memory_id)
    return [
        {
            "model": model,
            "active": version.active,
            "created_at": version.created_at,
            "segments": version.segments if revealed else [],
            "count": len(version.segments),
            "words": sum(len(segment.text.split()) for segment in version.segments),
            "speakers": len({segment.speaker for segment in version.segments}),
            "seconds": max((segment.end for segment in version.segments), default=0.0),
        }
        for model, version in sorted(found.items(), key=lambda item: (not item[1].active, item[0]))
    ]


def _run(run: PostProcessingRun) -> dict[str, Any]:
    return {
        "row": run,
        "status": statuses.document(run),
        "message": failure_catalogue.get(run.message_id) if run.message_id else None,
        "steps": [
            {
                "row": step,
                "attempts": list(step.history.all()),
                "errors": [item for item in step.history.all() if item.error_code or item.outcome not in GOOD],
            }
            for step in sorted(run.steps.all(), key=lambda item: item.position)
        ],
        "calls": list(run.vendor_calls.all()),
        "events": list(run.events.all()),
    }
