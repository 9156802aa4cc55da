"""A session's way to its sink: opens the conversation, stores what is shown, hands everything over at the end.

The sink's stores may be down for any time. What could not be stored stays dirty and is tried again; what could not be
handed over at the end is left beside the audio, where recovery finds it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog
from channels.db import database_sync_to_async

from omi.core.database_threads import THREADS
from omi.core.host import several
from transcription.hosts import handover
from transcription.journal.writer import Journal
from transcription.ports import (
    FINAL,
    Accounting,
    Conversation,
    ConversationGone,
    Piece,
    SessionInfo,
    SessionSink,
    VoiceLabel,
)
from transcription.segments import Segment
from transcription.session.pieces import Pieces

log = structlog.get_logger(__name__)

SINK_TRIES = 5


@dataclass(frozen=True, slots=True)
class Ending:
    """What a session leaves. ``segments`` and ``transcripts`` (by model name) in session seconds."""

    reason: str
    keep: bool
    accounting: Accounting
    transcripts: Mapping[str, Sequence[Segment]]


class Storing:
    """Stores what a session hears. ``mark(what, failing)`` is told when the ``storage`` or the ``journal`` begins to
    fail or is well again; ``opened`` once, when it is known which conversation the session writes into."""

    def __init__(
        self,
        info: SessionInfo,
        sink: SessionSink,
        journal: Journal | None,
        mark: Callable[[str, bool], None],
        *,
        watch: bool,
        opened: Callable[[Conversation], None],
        hold: float = 0.0,
    ) -> None:
        self.conversation: Conversation | None = None
        self.dirty = False
        self.stored_at = 0.0
        self._info = info
        self._sink = sink
        self._journal = journal
        self._mark = mark
        self._watch = watch
        self._on_open = opened
        self._hold = hold
        self._heard_at = info.started_at.timestamp()
        self._opening = asyncio.Lock()
        self._began = info.started_at.timestamp()
        self._assigned: dict[str, VoiceLabel] = {}  # as stored
        self._from = 0.0  # session seconds: what was said before went with a conversation that was deleted
        self.on_gone: Callable[[float], None] = lambda at: None

    def heard(self, at: float) -> None:
        """The wall clock (Unix seconds) when the last audio came."""
        self._heard_at = at

    async def rejoin(self) -> None:
        """At the session's begin: whether it continues a conversation. Where that cannot be known now, it is asked
        again with the first words."""
        if not self._watch:
            return
        try:
            async with self._opening:
                if self.conversation is None and (found := await self._sink.resume(self._info)) is not None:
                    await self._adopt(found)
        except Exception as error:  # any store may fail in its own way
            log.warning("session_not_rejoined", session=self._info.session_id, error=type(error).__name__)

    async def close(self, reason: str, *, words: bool) -> None:
        """No more audio comes. Said at once, before the last words are there: the socket's next session may begin."""
        try:
            conversation = await self._opened() if words else self.conversation
            if conversation is not None:
                await self._sink.close(self._info, conversation, reason=reason)
        except Exception as error:  # as above; the hand-over says it again
            log.warning("session_not_closed", session=self._info.session_id, error=type(error).__name__)

    async def store(
        self, pieces: Pieces, assigned: Mapping[str, VoiceLabel], *, received: float, decided: float
    ) -> bool:
        """Write what has changed since the last time (session seconds). On failure it stays dirty and the next tick
        tries again."""
        self.stored_at = time.monotonic()
        self.dirty = False
        taken: list[Piece] = []
        decisions = dict(assigned)
        try:
            conversation = await self._opened()  # before anything is taken: it may change labels
            taken = pieces.take()
            await self._sink.store(
                self._info,
                conversation,
                self._own(taken, conversation.offset),
                last_audio=received + conversation.offset,
                heard_at=self._heard_at,
                assigned=decisions if decisions != self._assigned else {},
            )
        except ConversationGone as gone:
            self.dirty = True
            self._begin_anew(gone.at)
            pieces.all_changed()
            return False
        except Exception as error:  # any store may fail in its own way; the journal is the safety net
            self.dirty = True
            pieces.put_back(taken)
            log.warning("session_not_stored", session=self._info.session_id, error=type(error).__name__)
            self._mark("storage", True)
            return False
        self._assigned = decisions
        self._mark("storage", False)
        if self._journal is not None:
            try:
                self._journal.entry.save_progress(decided, 0.0)
            except OSError:
                self._mark("journal", True)
        return True

    async def _opened(self) -> Conversation:
        async with self._opening:
            if self.conversation is None:
                await self._adopt(await self._sink.open(self._info, watch=self._watch))
            assert self.conversation is not None
            return self.conversation

    def _own(self, pieces: Sequence[Piece], offset: float) -> list[Piece]:
        """What belongs to this conversation, in its time."""
        own = [Piece(piece.number, moved(self._since(piece.segments), offset)) for piece in pieces]
        return [piece for piece in own if piece.segments]

    def _since(self, segments: Sequence[Segment]) -> list[Segment]:
        return [segment for segment in segments if segment.start >= self._from]

    def _begin_anew(self, at: float) -> None:
        """What was said until then went with the conversation that the user deleted; the rest is another one, which
        begins then. The next store opens it."""
        assert self.conversation is not None
        began = self._began
        self._from = max(self._from, min(at, self._heard_at) - began)
        self._info = replace(
            self._info, started_at=datetime.fromtimestamp(began + self._from, UTC), after=self.conversation.id
        )
        self.conversation = None
        self._assigned = {}
        self.on_gone(self._from)
        log.info("conversation_deleted_while_it_goes_on", session=self._info.session_id)

    async def _adopt(self, conversation: Conversation) -> None:
        conversation.offset -= self._from
        self.conversation = conversation
        log.info(
            "conversation_opened", session=self._info.session_id, conversation=conversation.id,
            memory_id=conversation.memory_id,
        )  # fmt: skip
        self._on_open(conversation)  # before anything is stored: labels are counted on from what is there
        if self._journal is not None:
            try:
                await asyncio.to_thread(self._journal.attach, conversation)
            except OSError:
                self._mark("journal", True)

    async def hand_over(
        self,
        segments: Sequence[Segment],
        pieces: Pieces,
        assigned: Mapping[str, VoiceLabel],
        decided: float,
        ending: Ending,
    ) -> bool:
        """The session is over. False when the stores stayed down: it is then left to recovery."""
        for attempt in range(SINK_TRIES):
            if attempt:
                await asyncio.sleep(min(4.0, 0.5 * 2**attempt))
            if not await self.store(pieces, assigned, received=ending.accounting.received, decided=decided):
                continue
            assert self.conversation is not None
            shift = self.conversation.offset
            try:
                if self._journal is not None and several():  # first: the run waits for the audio where it knows of it
                    await _threaded(handover.closed, self._journal.entry)
                await self._sink.store_transcripts(
                    self._info,
                    self.conversation,
                    {model: moved(self._since(items), shift) for model, items in ending.transcripts.items()},
                )
                if self._hold and self._watch and ending.reason not in (*FINAL, "drain"):
                    hold, self._hold = self._hold, 0.0
                    await asyncio.sleep(hold)  # who lost the network is back soon: then the memory is made at their end
                await self._sink.finish(
                    self._info,
                    self.conversation,
                    reason=ending.reason,
                    accounting=ending.accounting,
                    keep=ending.keep,
                )
            except Exception as error:  # as in store
                log.warning("session_not_finished", session=self._info.session_id, error=type(error).__name__)
                continue
            return True
        log.error("session_left_to_recovery", session=self._info.session_id)
        if self._journal is not None:
            await asyncio.to_thread(self._leave, self._journal, segments, assigned, ending)
        return False

    def _leave(
        self, journal: Journal, segments: Sequence[Segment], assigned: Mapping[str, VoiceLabel], ending: Ending
    ) -> None:
        """What was heard goes beside the audio, so that recovery need not hear it again."""
        data = {
            "reason": ending.reason,
            "keep": ending.keep,
            "accounting": asdict(ending.accounting),
            "segments": [segment.model_dump() for segment in segments],
            "assigned": {identity: asdict(voice) for identity, voice in assigned.items()},
            "transcripts": {
                model: [item.model_dump() for item in items] for model, items in ending.transcripts.items()
            },
        }
        try:
            (journal.entry.folder / "heard.json").write_text(json.dumps(data), encoding="utf-8")
        except OSError as error:
            log.error("session_text_not_kept", session=self._info.session_id, error=type(error).__name__)


async def _threaded(function: Any, *args: Any) -> Any:
    return await database_sync_to_async(function, thread_sensitive=False, executor=THREADS)(*args)


def moved(segments: Sequence[Segment], offset: float) -> list[Segment]:
    """Session seconds to conversation seconds."""
    return [
        segment.model_copy(update={"start": round(segment.start + offset, 3), "end": round(segment.end + offset, 3)})
        for segment in segments
    ]
