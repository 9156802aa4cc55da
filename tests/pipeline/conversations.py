"""What the tests of a conversation that becomes a memory share: one conversation, its memory's id, and its run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from memories.ids import memory_id_for
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.repository import processing
from memories.shapes import ProcessingMemory
from tests.pipeline.conftest import UID
from transcription.segments import Segment

PROCESSING = "c0ffee00-0000-4000-8000-000000000001"
MEMORY = memory_id_for(PROCESSING)
STARTED = datetime(2026, 11, 1, 12, tzinfo=UTC)


def segment(number: int, text: str, start: float, **more: Any) -> Segment:
    return Segment(id=f"s{number}", text=text, start=start, end=start + 4, stt_provider="deepgram_streaming", **more)


def conversation(*segments: Segment, **more: Any) -> ProcessingMemory:
    return processing.create(
        UID,
        ProcessingMemory(
            id=PROCESSING, session_ids=["session"], created_at=STARTED, timer_start=STARTED.timestamp(),
            language="en", transcript_segments=list(segments), last_audio=20.0, finished=True, **more,
        ),
    )  # fmt: skip


def start(**options: Any) -> PostProcessingRun:
    return service.start(
        "capture", UID, MEMORY, actor="session", options={"processing_memory_id": PROCESSING, **options}
    )
