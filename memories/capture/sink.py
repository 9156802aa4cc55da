"""The asynchronous face of capture: what the live session calls to have its conversation kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from channels.db import database_sync_to_async

from memories.capture import conversations
from memories.capture.fence import fenced, fenced_after
from memories.user_events import log
from omi.core.database_threads import pool
from speakers import people
from transcription.ports import Accounting, Conversation, Piece, SessionInfo, VoiceLabel
from transcription.segments import Segment

# Threads of their own: the loop's shared one would let one slow store hold up every socket.
_THREADS = pool("capture", 8)
_SESSIONS_REMEMBERED = 10_000
_UNWATCHED = ""


class CaptureSink:
    """Implements ``transcription.ports.SessionSink``.

    A session with ``watch=False`` (the app only wants text) gets a conversation without an id: nothing of it is kept.
    """

    def __init__(self) -> None:
        self._begun: OrderedDict[tuple[str, str], None] = OrderedDict()  # conversation and session with words

    async def open(self, session: SessionInfo, *, watch: bool = True) -> Conversation:
        if not watch:
            return Conversation(id=_UNWATCHED, started_at=session.started_at)
        conversation: Conversation = await _threaded(fenced, conversations.open_conversation, session)
        return conversation

    async def resume(self, session: SessionInfo) -> Conversation | None:
        conversation: Conversation | None = await _threaded(fenced, conversations.resume_conversation, session)
        return conversation

    async def store(
        self,
        session: SessionInfo,
        conversation: Conversation,
        pieces: Sequence[Piece],
        *,
        last_audio: float,
        heard_at: float | None = None,
        assigned: Mapping[str, VoiceLabel] | None = None,
    ) -> None:
        if conversation.id == _UNWATCHED:
            return
        place = conversation.id, session.session_id
        await _threaded(
            fenced_after,
            conversations.store_segments,
            session,
            conversation,
            pieces,
            last_audio=last_audio,
            heard_at=heard_at,
            first=place not in self._begun,
            assigned=assigned or {},
        )
        if pieces:
            self._begun[place] = None
            while len(self._begun) > _SESSIONS_REMEMBERED:
                self._begun.popitem(last=False)

    async def close(self, session: SessionInfo, conversation: Conversation, *, reason: str) -> None:
        if conversation.id != _UNWATCHED:
            await _threaded(fenced, conversations.close_session, session, conversation, reason=reason)

    async def store_transcripts(
        self, session: SessionInfo, conversation: Conversation, transcripts: dict[str, list[Segment]]
    ) -> None:
        if conversation.id != _UNWATCHED:
            await _threaded(fenced, conversations.store_transcripts, session, conversation, transcripts)

    async def finish(
        self,
        session: SessionInfo,
        conversation: Conversation,
        *,
        reason: str,
        accounting: Accounting | None = None,
        keep: bool = False,
    ) -> None:
        if conversation.id == _UNWATCHED:
            return
        await _threaded(
            fenced,
            conversations.finish_conversation,
            session,
            conversation,
            reason=reason,
            accounting=accounting,
            keep=keep,
        )
        self._begun.pop((conversation.id, session.session_id), None)

    async def events_after(
        self, uid: str, number: int, limit: int = 100, *, memories: bool = True
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await _threaded(log.after, uid, number, limit, memories=memories)
        return found

    async def knows_person(self, uid: str, person_id: str) -> bool:
        return bool(await _threaded(_knows_person, uid, person_id))

    async def latest_events(self, uids: Collection[str]) -> dict[str, int]:
        found: dict[str, int] = await _threaded(log.latest_among, uids)
        return found

    def events_group(self, uid: str) -> str:
        return log.group(uid)


def _knows_person(uid: str, person_id: str) -> bool:
    try:
        people.get_person(uid, person_id)
    except people.PersonNotFound:
        return False
    return True


async def _threaded(function: Any, *args: Any, **kwargs: Any) -> Any:
    return await database_sync_to_async(function, thread_sensitive=False, executor=_THREADS)(*args, **kwargs)
