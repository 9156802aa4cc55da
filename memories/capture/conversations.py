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

from memories.capture import continuing
from memories.ids import content_key, memory_id_for, own_segment_ids, processing_id_for
from memories.pipeline import service
from memories.repository import memories, processing, transcripts
from memories.repository.live_segments import LivePiece
from memories.repository.parsing import dump
from memories.shapes import Memory, ProcessingMemory, SessionAudio
from memories.user_events import log as events
from omi.core import clock
from transcription.ports import HOST_LOST, Accounting, Conversation, ConversationGone, Piece, SessionInfo, VoiceLabel
from transcription.segments import Segment, is_speaker_label, speaker_label

log = structlog.get_logger(__name__)


def open_conversation(session: SessionInfo) -> Conversation:
    """Resume the processing memory that this device left within the gap, else create one."""
    resumed = resume_conversation(session)
    if resumed is not None:
        return resumed
    began = session.started_at.timestamp()
    identity = processing_id_for(session.uid, session.session_id)
    if session.after:
        identity = processing_id_for(session.uid, f"{session.session_id}/{session.after}")
    created = processing.create(
        session.uid,
        ProcessingMemory(
            id=identity,
            session_id=session.session_id,
            session_ids=[session.session_id],
            device_id=session.device_id,
            created_at=session.started_at,
            timer_start=began,
            timer_starts=[began],
            audio={session.session_id: SessionAudio(at=began)},
            language=session.language,
        ),
    )
    return _conversation(created, 0.0, resumed=False)


def resume_conversation(session: SessionInfo) -> Conversation | None:
    """The conversation that this device left within the gap (``OMI_GAP_SECONDS``); None where there is none.

    What ended by gap or by ``finish`` has ended. The gap is counted from the wall clock of the last audio: audio time
    is behind it where packets were lost or the device paused. A session that seems to begin long before the last one
    did is a new conversation: the clock was set back, and nobody knows how much time has passed. So is one that began
    before the conversation, as one of a killed process that is recovered when its user has long begun anew: no moment
    of a conversation lies before its beginning, and what failed there would never be heard.
    """
    found = processing.latest_open(session.uid, session.device_id)
    if found is None or deleted_at(session.uid, found.memory_id) is not None:
        return None
    if session.session_id in found.session_ids:
        index = found.session_ids.index(session.session_id)
        return _conversation(found, found.timer_starts[index] - found.timer_start, resumed=index > 0)
    began = session.started_at.timestamp()
    earliest = (found.timer_starts or [found.timer_start])[-1] - settings.OMI_GAP_SECONDS
    if found.ended or not earliest <= began <= continuing.last_heard(found) + settings.OMI_GAP_SECONDS:
        return None
    if max(began, continuing.free_from(found)) < found.timer_start - continuing.AT_ONCE:
        return None
    return _resume(session, found)


def may_go_on(uid: str, memory: Memory) -> bool:
    """Whether more may come of the conversation that a memory was made of: it has not ended, and was heard within the
    gap. A host that was cut off may hold its end."""
    if memory.processing_memory_id is None:
        return False
    try:
        found = processing.get(uid, memory.processing_memory_id)
    except processing.ProcessingMemoryNotFound:
        return False
    return not found.ended and clock.time() <= continuing.last_heard(found) + settings.OMI_GAP_SECONDS


def deleted_at(uid: str, memory_id: str | None) -> float | None:
    """Return when (Unix seconds) the user deleted the memory that a conversation became; None where they have not."""
    if not memory_id:
        return None
    memory = memories.glance(uid, memory_id)
    if memory is not None and not memory.deleted:
        return None
    at = memory.deleted_at if memory is not None else None
    return at.timestamp() if at is not None else clock.time()


def _resume(session: SessionInfo, found: ProcessingMemory) -> Conversation | None:
    def join(current: ProcessingMemory) -> dict[str, Any]:
        if current.ended or session.session_id in current.session_ids:
            return {}
        began = max(session.started_at.timestamp(), current.timer_start, continuing.free_from(current))
        return {
            "session_id": session.session_id,
            "session_ids": [*current.session_ids, session.session_id],
            "timer_starts": [*current.timer_starts, began],
            "audio": continuing.heard(current, session.session_id, began - current.timer_start, began),
            "finished": False,
        }

    resumed = processing.mutate(session.uid, found.id, join)
    if session.session_id not in resumed.session_ids:
        return None  # it has ended in this moment
    if resumed.transcript_segments:
        _announce(session.uid, resumed.id, session.session_id)
    log.info("conversation_resumed", uid=session.uid, processing_memory_id=found.id, session_id=session.session_id)
    began = resumed.timer_starts[resumed.session_ids.index(session.session_id)]
    return _conversation(resumed, began - resumed.timer_start, resumed=True)


def store_segments(
    session: SessionInfo,
    conversation: Conversation,
    pieces: Sequence[Piece],
    *,
    last_audio: float,
    heard_at: float | None = None,
    first: bool = True,
    assigned: Mapping[str, VoiceLabel] | None = None,
) -> None:
    """Write what is new of a session: its pieces, each in its own document. Raises ConversationGone.

    The conversation's own document is written only with the ``first`` words of a session, with what a person has
    ``assigned`` (in the shape of ``UserEdits.segments``: the memory begins with it), and where there are no words.
    """
    at = heard_at if heard_at is not None else conversation.started_at.timestamp() + last_audio
    segments = [segment for piece in pieces for segment in piece.segments]
    began: list[bool] = []

    def begin(current: ProcessingMemory) -> dict[str, Any]:
        began[:] = [not current.transcript_segments and bool(segments)]
        fields: dict[str, Any] = {
            "last_audio": max(current.last_audio, float(last_audio)),
            "audio": continuing.heard(current, session.session_id, last_audio, at),
        }
        if segments and current.timer_segment_start is None:
            fields["timer_segment_start"] = current.timer_start + min(segment.start for segment in segments)
        if assigned:
            fields["assigned"] = {**current.assigned, **_decisions(segments, assigned)}
        return fields

    memory_id: str | None = None
    try:
        if first or assigned or not segments:
            memory_id = processing.mutate(session.uid, conversation.id, begin).memory_id
        if segments:
            written_at = clock.time()
            memory_id = processing.append(
                session.uid,
                conversation.id,
                [
                    LivePiece(
                        session.session_id,
                        piece.number,
                        [dump(segment) for segment in piece.segments],
                        float(last_audio),
                        float(at),
                        written_at,
                    )
                    for piece in pieces
                ],
            )
    except processing.ProcessingMemoryNotFound as error:
        raise ConversationGone(clock.time()) from error  # erased
    gone = deleted_at(session.uid, memory_id)
    if gone is not None:
        raise ConversationGone(gone)
    if began == [True]:
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

    What other sessions of the conversation left under the same name stays, also where they heard at the same time.
    """
    memory_id = memory_id_for(conversation.id)
    for model, segments in by_model.items():
        before = transcripts.newest_live(session.uid, memory_id, model)
        own = own_segment_ids(session.session_id, model, len(before) + len(segments))
        own |= {item.id for item in segments}
        kept = [item for item in before if item.id not in own]
        whole = [*kept, *_numbered(segments, kept)]
        if whole:
            whole.sort(key=lambda item: (item.start, item.end))
            transcripts.save_transcript(session.uid, memory_id, model, whole, _about(session))


def _about(session: SessionInfo) -> dict[str, str]:
    """What a live transcript was made with, where anything is to be said."""
    return {"source": "live", **({"vocabulary": session.vocabulary} if session.vocabulary else {})}


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


def close_session(session: SessionInfo, conversation: Conversation, *, reason: str) -> None:
    """No more audio of this session will come; what it heard of it may still be written.

    Said before the vendors have given their last words: a session that begins meanwhile must know it.
    """
    processing.mutate(
        session.uid, conversation.id, lambda current: continuing.closed(current, session.session_id, reason)
    )


def finish_conversation(
    session: SessionInfo,
    conversation: Conversation,
    *,
    reason: str,
    accounting: Accounting | None,
    keep: bool,
) -> None:
    """The session is over: ask the pipeline for the conversation's memory.

    Nothing is asked for where nothing was said (no words, and no audio that failed to be transcribed), or where
    another session of the conversation goes on: the last one asks for all.
    """

    def close(current: ProcessingMemory) -> dict[str, Any]:
        counted = dict((current.model_extra or {}).get("accounting") or {})
        if accounting is not None:
            known = counted.get(session.session_id)
            if known is None or HOST_LOST in (known.get("reasons") or {}):  # its host came back: now it is known better
                counted[session.session_id] = asdict(accounting)
        fields = continuing.closed(current, session.session_id, reason)
        others = continuing.going_on(current, session.session_id)
        return {**fields, "finished": not others or reason == "finish", "accounting": counted}

    closed = processing.mutate(session.uid, conversation.id, close)
    failed = sum(float(part.get("failed", 0.0)) for part in (closed.model_extra or {}).get("accounting", {}).values())
    bound = log.bind(uid=session.uid, processing_memory_id=closed.id, session_id=session.session_id, reason=reason)
    if not closed.finished:
        bound.info("conversation_goes_on")
        return
    if not any(segment.text.strip() for segment in closed.transcript_segments) and failed <= 0.0:
        bound.info("conversation_silent")
        return
    memory_id = memory_id_for(closed.id)
    content = f"{content_key(closed.transcript_segments)}:{failed:.0f}"
    key = f"capture:{closed.id}:{content}:{int(keep)}"
    if not closed.memory_id:  # a conversation that went on is not created again: its memory is updated
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


def _conversation(found: ProcessingMemory, offset: float, *, resumed: bool) -> Conversation:
    return Conversation(
        id=found.id,
        started_at=datetime.fromtimestamp(found.timer_start, UTC),
        offset=offset,
        resumed=resumed,
        segments=list(found.transcript_segments),
        memory_id=memory_id_for(found.id),
    )
