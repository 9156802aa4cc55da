"""Live conversations now: who, since when, and where their seconds went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from memories.console.pages.base import answer, needs
from memories.models import ProcessingMemoryRow
from memories.pipeline import missing_audio
from memories.repository import processing
from omi.core.errors import ProviderError
from omi.stores.documents.base import DocumentError

SHOWN = 50
READ = 25
"""Conversations whose document is read for one page."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation in the list of live ones. ``seconds``: received, transcribed, silence, failed of the sessions that
    were accounted for; of one that goes on only what is stored. ``problem``: why they cannot be read."""

    row: ProcessingMemoryRow
    sessions: int = 0
    going_on: bool = False
    seconds: dict[str, float] | None = None
    vendors: tuple[str, ...] = ()
    problem: str = ""


@needs()
def now(request: HttpRequest) -> HttpResponse:
    """Answer with the page of conversations that have not ended, the newest first."""
    since = timezone.now() - timedelta(days=2)
    rows = list(
        ProcessingMemoryRow.objects.filter(finished=False, created_at__gt=since).order_by("-created_at")[: SHOWN + 1]
    )
    shown = [_read(row) for row in rows[:READ]] + [Conversation(row) for row in rows[READ:SHOWN]]
    return answer(request, "live", "Live now", conversations=shown, more=len(rows) > SHOWN)


def _read(row: ProcessingMemoryRow) -> Conversation:
    try:
        found = processing.get(row.uid, row.processing_memory_id)
    except processing.ProcessingMemoryNotFound:
        return Conversation(row, problem="the conversation is gone")
    except (ProviderError, DocumentError) as error:
        return Conversation(row, problem=f"cannot be read: {type(error).__name__}")
    seconds = dict.fromkeys(("received", "transcribed", "silence", "failed"), 0.0)
    vendors: dict[str, Any] = {}
    for counted in missing_audio.accounting(found).values():
        for name in seconds:
            seconds[name] += float(counted.get(name) or 0.0)
        vendors |= counted.get("vendors") or {}
    seconds["received"] = max(seconds["received"], row.last_audio)
    going_on = any(not audio.over for audio in found.audio.values())
    said_by = {str(segment.stt_provider) for segment in found.transcript_segments if segment.stt_provider}
    return Conversation(row, len(found.session_ids), going_on, seconds, tuple(sorted({*vendors, *said_by})))
