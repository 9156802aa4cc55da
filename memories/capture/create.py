"""``POST /v1/memories``: a client that has the transcript already makes a memory of it.

The memory is stored and answered at once; title, overview and the rest are made in a worker, so that a structuring
service that is slow or down can neither hold the request nor lose the text.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from memories.ids import content_key, memory_id_for
from memories.pipeline import service
from memories.posted_memory import CreateMemory
from memories.repository import memories as repository
from memories.shapes import Memory
from memories.user_events import log
from omi.accounts.erased import Fence
from omi.stores.documents.base import AlreadyExists
from speakers import people
from transcription.segments import Segment, segment_id

ONBOARDING = "speech_profile_onboarding"
"""A memory of this source is never discarded."""


def create_memory(
    uid: str,
    given: CreateMemory,
    *,
    language: str | None = None,
    source: str | None = None,
    actor: str = "user",
    fence: Fence = lambda: None,
) -> Memory:
    """Store ``given`` as a memory of ``uid`` and have it put in order. The stored memory.

    ``fence`` is called inside of the transaction; what it raises refuses the memory.
    With a ``processing_memory_id`` the same request again gives the memory that is there. Raises AlreadyExists where
    that memory was deleted: what was deleted is not made again.
    """
    identity = memory_id_for(given.processing_memory_id) if given.processing_memory_id else str(uuid.uuid4())
    if given.processing_memory_id:
        try:
            return repository.get_memory(uid, identity)
        except repository.MemoryNotFound:
            pass
    chosen = source or given.source or "friend"
    memory = Memory(
        id=identity,
        created_at=datetime.now(UTC),
        started_at=given.started_at,
        finished_at=given.finished_at,
        source=chosen,
        language=language or given.language,
        transcript_segments=_ordered(identity, _of_people(uid, given.transcript_segments)),
        geolocation=given.geolocation,
        photos=given.photos,
        processing_memory_id=given.processing_memory_id,
    )
    try:
        return _stored(uid, memory, given, language, actor, fence)
    except AlreadyExists:
        if given.processing_memory_id:  # the same request was faster
            with contextlib.suppress(repository.MemoryNotFound):
                return repository.get_memory(uid, identity)
        raise


def _stored(uid: str, memory: Memory, given: CreateMemory, language: str | None, actor: str, fence: Fence) -> Memory:
    """The memory, its event and its run: all or nothing."""
    key = f"create:{memory.id}:{content_key(memory.transcript_segments)}"  # counted before the transaction

    def begin() -> None:
        log.append(
            uid,
            log.MEMORY_CREATED,
            {"memory_id": memory.id, "processing_memory_id": given.processing_memory_id},
            dedupe_key=f"created:{memory.id}",
        )
        service.start(
            "reprocess",
            uid,
            memory.id,
            actor=actor,
            reason="created by the app",
            options={"force": memory.source == ONBOARDING, "language": language or given.language},
            idempotency_key=key,
        )

    return repository.create_memory(uid, memory, fence=fence, then=begin)


def _of_people(uid: str, segments: Sequence[Segment]) -> list[Segment]:
    """Whoever is not (or no longer) one of the user's people has said nothing: the words are kept without the name."""
    named = {segment.person_id for segment in segments if segment.person_id}
    known = named & set(people.names(uid)) if named else set()
    return [
        segment if segment.person_id is None or segment.person_id in known
        else segment.model_copy(update={"person_id": None})
        for segment in segments
    ]  # fmt: skip


def _ordered(memory_id: str, segments: Sequence[Segment]) -> list[Segment]:
    """Sorted by start, each with a start before its end and an id that is unique in this memory."""
    seen: set[str] = set()
    ordered: list[Segment] = []
    for index, segment in enumerate(sorted(segments, key=lambda item: (item.start, item.end))):
        identity = segment.id if segment.id not in seen else segment_id(memory_id, index)
        seen.add(identity)
        start = max(0.0, min(segment.start, segment.end))
        end = max(segment.start, segment.end, start + 0.01)
        given = segment.model_dump(exclude={"speaker_id"})
        ordered.append(Segment(**{**given, "id": identity, "start": start, "end": end}))
    return ordered
