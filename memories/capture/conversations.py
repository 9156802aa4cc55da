"""From a live session to a processing memory, and from there to the run that makes the memory.

Plain blocking functions; ``sink.CaptureSink`` is their asynchronous face. Every one may be called again after a crash
with the same arguments and changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings

from memories import events
from memories.capture.ids import content_key, memory_id_for, processing_id_for
from memories.repository import processing, transcripts
from memories.shapes import ProcessingMemory
from transcription.ports import Accounting, Conversation, SessionInfo, VoiceLabel
from transcription.segments import Segment, is_speaker_label, speaker_label

log = structlog.get_logger(__name__)


def open_conversation(session: SessionInfo) -> Conversation:
    """Resume the processing memory that this device left within the gap, else create one.

    The gap is counted from the last audio or word, whichever is later (``OMI_GAP_SECONDS``; omi-protocol 1.8). A
    session that seems to begin long before the last one did is a new conversation: the clock was set back, and nobody
    knows how much time has passed.
    """
    began = session.started_at.timestamp()
    found = processing.latest_open(session.uid, session.device_id)
    if found is not None and session.session_id in found.session_ids:
        index = found.session_ids.index(session.session_id)
        return _conversation(found, found.timer_starts[index] - found.timer_start, resumed=index > 0)
    if found is not None:
        earliest = (found.timer_starts or [found.timer_start])[-1] - settings.OMI_GAP_SECONDS
        if earliest <= began <= _heard_until(found) + settings.OMI_GAP_SECONDS:
            return _resume(session, found)
    created = processing.create(
        session.uid,
        ProcessingMemory(
            id=processing_id_for(session.uid, session.session_id),
            session_id=session.session_id,
            session_ids=[session.session_id],
            device_id=session.device_id,
            created_at=session.started_at,
            timer_start=began,
            timer_starts=[began],
            language=session.language,
        ),
    )
    return _conversation(created, 0.0, resumed=False)


def _resume(session: SessionInfo, found: ProcessingMemory) -> Conversation:
    def join(current: ProcessingMemory) -> dict[str, Any]:
        if session.session_id in current.session_ids:
            return {}
        # Never before what was heard: the clock may have been set back, and kept audio comes faster than it was spoken.
        began = max(session.started_at.timestamp(), _heard_until(current))
        return {
            "session_id": session.session_id,
            "session_ids": [*current.session_ids, session.session_id],
            "timer_starts": [*current.timer_starts, began],
            "finished": False,
        }

    resumed = processing.mutate(session.uid, found.id, join)
    if resumed.transcript_segments:
        _announce(session.uid, resumed.id, session.session_id)
    log.info("conversation_resumed", uid=session.uid, processing_memory_id=found.id, session_id=session.session_id)
    began = resumed.timer_starts[resumed.session_ids.index(session.session_id)]
    return _conversation(resumed, began - resumed.timer_start, resumed=True)


def store_segments(
    session: SessionInfo,
    conversation: Conversation,
    segments: Sequence[Segment],
    *,
    last_audio: float,
    known: frozenset[str] | set[str],
    assigned: Mapping[str, VoiceLabel] | None = None,
) -> None:
    """Write what is shown. ``known`` are the ids that this session has seen stored: only those may go away.

    ``assigned`` is kept beside the segments in the shape of ``UserEdits.segments``: the memory begins with it.

    A list without text never replaces one with text, and what a second socket of the same conversation wrote in
    between is kept (omi-protocol 4.3 no. 40, 47).
    """
    first: list[bool] = []

    def write(current: ProcessingMemory) -> dict[str, Any]:
        first[:] = [not current.transcript_segments and bool(segments)]
        fields: dict[str, Any] = {"last_audio": max(current.last_audio, float(last_audio))}
        if segments:
            given = {segment.id for segment in segments}
            others = [item for item in current.transcript_segments if item.id not in given and item.id not in known]
            unique = {item.id: item for item in [*others, *segments]}
            fields["transcript_segments"] = sorted(unique.values(), key=lambda item: (item.start, item.end))
            if current.timer_segment_start is None:
                fields["timer_segment_start"] = current.timer_start + fields["transcript_segments"][0].start
        if assigned:
            fields["assigned"] = {**current.assigned, **_decisions(segments, assigned)}
        return fields

    processing.mutate(session.uid, conversation.id, write)
    if first == [True]:
        _announce(session.uid, conversation.id, session.session_id)


def _decisions(segments: Sequence[Segment], assigned: Mapping[str, VoiceLabel]) -> dict[str, dict[str, Any]]:
    return {
        item.id: {
            "is_user": assigned[item.id].is_user,
            "person_id": assigned[item.id].person_id,
            "start": item.start,
            "end": item.end,
            "speaker": item.speaker,
            "transcript": item.stt_provider,
        }
        for item in segments
        if item.id in assigned
    }


def store_transcripts(session: SessionInfo, conversation: Conversation, by_model: dict[str, list[Segment]]) -> None:
    """Keep each vendor's transcript under its model name, beside the memory that the conversation becomes.

    What an earlier session of the conversation left under the same name stays in front of this session's.
    """
    memory_id = memory_id_for(conversation.id)
    stored = transcripts.list_transcripts(session.uid, memory_id) if conversation.offset > 0 else {}
    for model, segments in by_model.items():
        before = (
            [item for item in stored[model].segments if item.start < conversation.offset] if model in stored else []
        )
        given = {segment.id for segment in segments}
        kept = [item for item in before if item.id not in given]
        whole = [*kept, *_numbered(segments, kept)]
        if whole:
            whole.sort(key=lambda item: (item.start, item.end))
            transcripts.save_transcript(session.uid, memory_id, model, whole, {"source": "live"})


def _numbered(segments: list[Segment], before: list[Segment]) -> list[Segment]:
    """Vendors' labels belong to one connection and have any form; the app reads ``SPEAKER_07`` and nothing else.

    They are numbered in order of appearance, after those of the earlier sessions: never assumed the same voice.
    """
    if all(is_speaker_label(item.speaker) for item in segments):
        return segments
    first = max((item.speaker_id + 1 for item in before), default=0)
    numbers: dict[str, int] = {}
    return [
        item.model_copy(update={"speaker": speaker_label(numbers.setdefault(item.speaker, first + len(numbers)))})
        for item in segments
    ]


def finish_conversation(
    session: SessionInfo,
    conversation: Conversation,
    *,
    reason: str,
    accounting: Accounting | None,
    keep: bool,
) -> None:
    """The conversation is over: ask the pipeline for its memory.

    Nothing is asked for where nothing was said: no words, and no audio that failed to be transcribed.
    """
    from memories.pipeline import service

    def close(current: ProcessingMemory) -> dict[str, Any]:
        counted = dict((current.model_extra or {}).get("accounting") or {})
        if accounting is not None:
            counted[session.session_id] = asdict(accounting)
        return {"finished": True, "accounting": counted}

    closed = processing.mutate(session.uid, conversation.id, close)
    failed = sum(float(part.get("failed", 0.0)) for part in (closed.model_extra or {}).get("accounting", {}).values())
    bound = log.bind(uid=session.uid, processing_memory_id=closed.id, session_id=session.session_id, reason=reason)
    if not any(segment.text.strip() for segment in closed.transcript_segments) and failed <= 0.0:
        bound.info("conversation_silent")
        return
    memory_id = memory_id_for(closed.id)
    content = f"{content_key(closed.transcript_segments)}:{failed:.0f}"
    key = f"capture:{closed.id}:{content}:{int(keep)}"
    events.append(
        session.uid,
        events.MEMORY_CREATING,
        {"processing_memory_id": closed.id, "memory_id": memory_id},
        dedupe_key=f"creating:{key}",
    )
    service.start(
        "capture",
        session.uid,
        memory_id,
        actor="session",
        reason=reason,
        # With the content: words said after a run has read the conversation are another request.
        options={"processing_memory_id": closed.id, "keep": keep, "content": content},
        idempotency_key=key,
    )
    bound.info("conversation_finished", memory_id=memory_id, segments=len(closed.transcript_segments), failed=failed)


def _announce(uid: str, processing_id: str, session_id: str) -> None:
    events.append(
        uid,
        events.NEW_PROCESSING_MEMORY,
        {"processing_memory_id": processing_id},
        dedupe_key=f"processing:{processing_id}:{session_id}",
    )


def _heard_until(found: ProcessingMemory) -> float:
    spoken = max((segment.end for segment in found.transcript_segments), default=0.0)
    return found.timer_start + max(found.last_audio, spoken)


def _conversation(found: ProcessingMemory, offset: float, *, resumed: bool) -> Conversation:
    return Conversation(
        id=found.id,
        started_at=datetime.fromtimestamp(found.timer_start, UTC),
        offset=offset,
        resumed=resumed,
        segments=list(found.transcript_segments),
    )
