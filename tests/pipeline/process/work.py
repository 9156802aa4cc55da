"""Work for the installations of the process tests."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.pipeline.fakes import TEXT


def begin(count: int, options: dict[str, Any], speech: str = "") -> list[int]:
    """``count`` memories of one user, each with a recording of speech, and a run for each, as an upload begins it."""
    from memories.pipeline import service
    from memories.pipeline.engine import notifications
    from memories.shapes import PostProcessingStatus

    runs = [
        service.start("postprocess", "user-1", memory_id, actor="test", audio=kept, options=options)
        for memory_id, kept in prepare(count, speech)
    ]
    for run in runs:
        notifications.mark(run, PostProcessingStatus.IN_PROGRESS)
    return [run.pk for run in runs]


def prepare(count: int, speech: str = "") -> list[tuple[str, Any]]:
    """``count`` memories and their recordings (the file ``speech``, else one that is in the repository)."""
    from pathlib import Path

    from memories.repository import memories as repository
    from memories.shapes import Memory, Structured
    from omi.stores import audio
    from transcription.segments import Segment

    path = Path(speech or Path(__file__).resolve().parents[3] / "demo" / "recordings" / "enrol_user.flac")
    said = path.read_bytes()
    # What the simulators say is another talk: too short a text to be held against it.
    live = "we should book" if speech else TEXT[:-5]
    made = []
    for _ in range(count):
        memory_id = str(uuid.uuid4())
        now = datetime.now(UTC)
        repository.create_memory(
            "user-1",
            Memory(
                id=memory_id,
                created_at=now,
                started_at=now,
                language="en",
                structured=Structured(title="Live"),
                transcript_segments=[Segment(id=f"{memory_id}-1", text=live, start=1.0, end=7.6)],
                active_transcript="deepgram_streaming",
            ),
        )
        kept = audio.put("user-1", "upload", said, memory_id=memory_id, suffix=path.suffix, keep_for=timedelta(hours=1))
        made.append((memory_id, kept))
    return made


def told(uid: str = "user-1") -> list[dict[str, Any]]:
    """The whole event log of a user, oldest first."""
    from memories.user_events import log

    found: list[dict[str, Any]] = []
    while more := log.after(uid, found[-1]["event_number"] if found else 0, 500):
        found += more
    return found


def ends(uid: str = "user-1") -> list[int]:
    """The runs whose end was told, as often as it was, in order of their ids."""
    from memories.user_events import log

    kinds = {log.POST_PROCESSING_SUCCESS, log.POST_PROCESSING_FAILED}
    return sorted(event["run_id"] for event in told(uid) if event["type"] in kinds)
