"""From recordings that were captured offline to processing memories, as if their sessions had been live.

A session of an offline recording is over when it comes, nothing of it was transcribed, and all that is spoken in it is
counted as failed: the run of the conversation makes that good from the journal, as after a crash. Every function may be
called again with the same arguments and changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from memories.capture import continuing, conversations
from memories.ids import memory_id_for
from memories.repository import processing
from memories.shapes import ProcessingMemory, SessionAudio
from transcription.ports import OFFLINE, Accounting, Conversation, SessionInfo
from transcription.segments import end_of
from transcription.spans import Span, merge

PAGE: Final = 20
BEFORE: Final = 5
"""Conversations that may have gone on when a recording began: a client without a device id may have several."""


@dataclass(frozen=True, slots=True)
class OfflineSession:
    """A stretch of a recording, whose journal is there. ``accounting``: all that is spoken in it has failed."""

    info: SessionInfo
    accounting: Accounting

    @property
    def began(self) -> float:
        """Unix seconds of its first sample."""
        return self.info.started_at.timestamp()


def known(uid: str, device_id: str | None, since: float, until: float) -> Iterator[ProcessingMemory]:
    """The device's conversations that began between two moments (Unix seconds), newest first, and ``BEFORE`` that
    began earlier and may have gone on until then. They are read ``PAGE`` at a time."""
    before, place = BEFORE, datetime.fromtimestamp(until, UTC)
    while page := processing.of_device(uid, device_id, until=place, limit=PAGE):
        for found in page:
            if found.created_at.timestamp() < since:
                before -= 1
                if before < 0:
                    return
            yield found
        place = page[-1].created_at


def find(uid: str, conversation_id: str) -> ProcessingMemory | None:
    """One conversation; None where it is not there (yet, or any more)."""
    try:
        return processing.get(uid, conversation_id)
    except processing.ProcessingMemoryNotFound:
        return None


def settled(found: ProcessingMemory, sessions: Sequence[OfflineSession]) -> bool:
    """Whether a run has made good all that is spoken in the sessions: there is nothing left to ask for."""
    books = (found.model_extra or {}).get("accounting") or {}
    spoken = [item for item in sessions if item.accounting.failed > 0.0]
    return bool(spoken) and all(
        float((books.get(item.info.session_id) or {}).get("failed") or 0.0) <= 0.0 for item in spoken
    )


def covered(found: ProcessingMemory) -> list[Span]:
    """What of the wall clock (Unix seconds) the sessions of a conversation have heard."""
    if not found.audio:
        return [(found.timer_start, continuing.last_heard(found))]
    begun = dict(zip(found.session_ids, found.timer_starts, strict=False))
    return merge(
        [
            (begun.get(name, found.timer_start), found.timer_start + audio.until)
            for name, audio in found.audio.items()
            if found.timer_start + audio.until > begun.get(name, found.timer_start)
        ]
    )


def last_heard(found: ProcessingMemory) -> float:
    """Unix seconds of the last audio or word of a conversation, as it was spoken."""
    spoken = end_of(found.transcript_segments)
    return max([found.timer_start + spoken, *(end for _, end in covered(found))])


def was_deleted(uid: str, found: ProcessingMemory) -> bool:
    """Whether the user has deleted the memory that a conversation had become."""
    return conversations.deleted_at(uid, found.memory_id) is not None


def store(conversation_id: str, sessions: Sequence[OfflineSession]) -> ProcessingMemory:
    """Put sessions into a conversation, in order of time; one that is not there yet begins with the first of them."""
    first = sessions[0].info
    if find(first.uid, conversation_id) is None:
        processing.create(first.uid, _begun(conversation_id, first))
    return processing.mutate(first.uid, conversation_id, lambda current: _with(current, sessions))


def ask(conversation_id: str, session: SessionInfo, began: float) -> str:
    """Ask for the memory of a conversation, unless somebody is heard in it now: that session's end asks for all. The
    memory's id. ``session``: the last one that was stored."""
    conversation = Conversation(id=conversation_id, started_at=datetime.fromtimestamp(began, UTC))
    conversations.finish_conversation(session, conversation, reason=OFFLINE, accounting=None, keep=False)
    return memory_id_for(conversation_id)


def _begun(identity: str, first: SessionInfo) -> ProcessingMemory:
    return ProcessingMemory(
        id=identity,
        session_id=first.session_id,
        device_id=first.device_id,
        created_at=first.started_at,
        timer_start=first.started_at.timestamp(),
        language=first.language,
    )


def _with(current: ProcessingMemory, sessions: Sequence[OfflineSession]) -> dict[str, Any]:
    new = [item for item in sessions if item.info.session_id not in current.session_ids]
    if not new:
        return {}
    placed = sorted(
        [*zip(current.timer_starts, current.session_ids, strict=False),
         *((item.began, item.info.session_id) for item in new)]
    )  # fmt: skip
    audio = {name: item.model_dump() for name, item in current.audio.items()}
    books = dict((current.model_extra or {}).get("accounting") or {})
    for item in new:
        until = item.began - current.timer_start + item.accounting.received
        audio[item.info.session_id] = SessionAudio(until=until, at=current.timer_start + until, over=True).model_dump()
        books[item.info.session_id] = asdict(item.accounting)
    return {
        "session_ids": [name for _, name in placed],
        "timer_starts": [at for at, _ in placed],
        "audio": audio,
        "last_audio": max([current.last_audio, *(float(audio[item.info.session_id]["until"]) for item in new)]),
        "accounting": books,
    }
