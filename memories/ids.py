"""Ids that follow from other ids, so that doing a thing again makes the same document."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

from transcription.segments import Segment, segment_id

_NAMESPACE = uuid.UUID("0b6a2c2e-52a5-4d1c-9a57-3f0d8f6f2a11")


def memory_id_for(processing_memory_id: str) -> str:
    """The id of the memory that a processing memory becomes: known before it exists, the same after a crash."""
    return str(uuid.uuid5(_NAMESPACE, f"memory/{processing_memory_id}"))


def processing_id_for(uid: str, session_id: str) -> str:
    """The id of the processing memory that a session creates: opening the same session twice makes one."""
    return str(uuid.uuid5(_NAMESPACE, f"processing/{uid}/{session_id}"))


def own_segment_ids(session_id: str, model: str, count: int) -> set[str]:
    """The ids that a session gives to the first ``count`` segments that it shows, and of its transcript of a model."""
    scopes = (session_id, f"{session_id}/{model}")
    return {segment_id(scope, index) for scope in scopes for index in range(count)}


def content_key(segments: Sequence[Segment]) -> str:
    """Short hash of what was said, when and by whom."""
    digest = hashlib.sha256()
    for segment in segments:
        parts = (
            segment.id,
            f"{segment.start:.3f}",
            f"{segment.end:.3f}",
            segment.speaker,
            segment.is_user,
            segment.text,
        )
        digest.update(repr(parts).encode())
    return digest.hexdigest()[:24]
