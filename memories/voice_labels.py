"""A voice of an older memory was recognised afterwards (``manage.py identify``): its segments get the name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import structlog

from memories.repository import memories as repository
from memories.shapes import Memory
from transcription.segments import Segment

log = structlog.get_logger(__name__)


def on_voice_found(
    *, uid: str, memory_id: str, voice: str, person_id: str, turns: Sequence[Sequence[float]], **_: Any
) -> None:
    """Receiver of ``speakers.signals.voice_found``; ``person_id`` '' is the user.

    Only segments that nobody is named for change, and only where the label still means the voice that was heard:
    another transcript may be shown by now, with labels of its own.
    """

    def change(memory: Memory) -> dict[str, Any]:
        if not _same_voice(memory.transcript_segments, voice, turns):
            log.info("found_voice_has_another_label", uid=uid, memory_id=memory_id, voice=voice)
            return {}
        label = {"is_user": person_id == "", "person_id": person_id or None}
        segments = [
            item.model_copy(update=label) if item.speaker == voice and _open(item, memory) else item
            for item in memory.transcript_segments
        ]
        return {"transcript_segments": segments} if segments != memory.transcript_segments else {}

    try:
        repository.mutate_memory(uid, memory_id, change)
    except repository.MemoryNotFound:
        log.info("found_voice_of_no_memory", uid=uid, memory_id=memory_id)


def _open(segment: Segment, memory: Memory) -> bool:
    """Neither named by the machine nor decided by a person."""
    decided = segment.id in memory.edits.segments or segment.speaker in memory.edits.speakers
    return not (segment.is_user or segment.person_id or decided)


def _same_voice(segments: Sequence[Segment], voice: str, turns: Sequence[Sequence[float]]) -> bool:
    """Whether most of what was heard lies in segments with this label."""
    heard = sum(end - start for start, end in turns)
    shared = sum(
        max(0.0, min(end, segment.end) - max(start, segment.start))
        for start, end in turns
        for segment in segments
        if segment.speaker == voice
    )
    return heard > 0 and shared > heard / 2
