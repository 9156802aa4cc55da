"""The two ports through which the live session reaches packages above it: where it stores, and who names voices.

``transcription`` may not import ``memories`` or ``speakers``. ``settings.PROVIDERS["session_sink"]`` and
``["voice_labeller"]`` name the implementations, so that the web process, workers and commands all find the same ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from transcription.segments import Segment, end_of


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One socket's session. ``started_at`` is the wall clock (UTC) of its first audio byte.

    ``device_id`` keeps two devices of one user apart; a client that sends none has the one nameless device.
    """

    uid: str
    session_id: str
    started_at: datetime
    language: str
    codec: str
    sample_rate: int
    device_id: str | None = None
    signed_in: float = 0.0
    vocabulary: str = ""  # which version of the user's words was handed to the vendors
    after: str = ""  # the conversation of this session that the user deleted meanwhile

    @property
    def fenced_from(self) -> datetime:
        """An account that was erased at or after this moment takes nothing of this session any more. ``signed_in``:
        when the user did (Unix seconds); where it is not known, the session's own beginning counts."""
        return datetime.fromtimestamp(self.signed_in, UTC) if self.signed_in else self.started_at


@dataclass(slots=True)
class Conversation:
    """The processing memory that a session writes into.

    ``offset``: seconds to add to this session's times to get the conversation's (0 for a new one; larger where the
    client came back within the gap). ``segments`` are those already stored, in conversation time, and ``spoken_until``
    is where the last of them ends (0: nobody has spoken). ``memory_id``: that of the memory which it will become, by
    which the logs of all processes are read.
    """

    id: str
    started_at: datetime
    offset: float = 0.0
    resumed: bool = False
    segments: list[Segment] = field(default_factory=list)
    memory_id: str = ""

    @property
    def spoken_until(self) -> float:
        return end_of(self.segments)


@dataclass(frozen=True, slots=True)
class Piece:
    """A bounded run of one session's segments: what is stored at a time. ``number`` counts the session's runs from 0,
    and is the same for the same run whenever it is stored again."""

    number: int
    segments: Sequence[Segment]


FINAL = frozenset({"gap", "finish"})
"""Reasons of a session's end that end its conversation, too. After any other one the client may come back."""


HOST_LOST = "host_lost"
"""Why seconds have failed whose journal went with a host that was declared lost."""

OFFLINE = "offline"
"""Why seconds have failed that nobody could hear live: they were captured offline. No vendor is at fault."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Session seconds, from and to."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Accounting:
    """Where every second of received audio went. ``transcribed + silence + failed == received`` to within a frame.

    ``missing``: the stretches that failed. ``settled``: seconds that had failed and were transcribed, or found to be
    silence, from the journal afterwards. ``vendors``: what each did in this session (``Supervisor.facts``).
    """

    received: float
    transcribed: float
    silence: float
    failed: float
    reasons: dict[str, float] = field(default_factory=dict)
    missing: list[Stretch] = field(default_factory=list)
    settled: float = 0.0
    vendors: dict[str, dict[str, Any]] = field(default_factory=dict)


class ConversationGone(Exception):
    """The user deleted the conversation's memory while it went on: what was said since ``at`` (Unix seconds) is another
    conversation."""

    def __init__(self, at: float) -> None:
        super().__init__("the conversation was deleted")
        self.at = at


class SessionSink(Protocol):
    """Stores conversations. Implemented by ``memories.capture``. Methods may raise; the journal is the safety net."""

    async def open(self, session: SessionInfo, *, watch: bool = True) -> Conversation:
        """Create a processing memory, or resume the one this user's device left within the gap.

        Again for the same session: the same one.
        """

    async def resume(self, session: SessionInfo) -> Conversation | None:
        """Open a conversation as ``open`` does, but create nothing: None where there is nothing to resume."""

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
        """Write the pieces of this session that are new or changed (conversation time); each replaces the piece of its
        number, and all else that is stored stays. Raises ConversationGone.

        ``last_audio``: how far this session's audio reaches (conversation seconds), ``heard_at``: the wall clock (Unix
        seconds) when the last of it came.
        ``assigned``: who a person said that a segment (its id) is of, where that has changed; a user's edit, which wins
        over every later run.
        """

    async def close(self, session: SessionInfo, conversation: Conversation, *, reason: str) -> None:
        """No more audio of this session will come. A reason of ``FINAL`` ends the conversation: nothing resumes it."""

    async def store_transcripts(
        self, session: SessionInfo, conversation: Conversation, transcripts: dict[str, list[Segment]]
    ) -> None:
        """Keep each vendor's own transcript under its model name."""

    async def finish(
        self,
        session: SessionInfo,
        conversation: Conversation,
        *,
        reason: str,
        accounting: Accounting | None = None,
        keep: bool = False,
    ) -> None:
        """The session is over: ask for the memory, unless another session of the conversation still goes on.

        ``keep``: the user asked, so it is never discarded.
        """

    async def events_after(
        self, uid: str, number: int, limit: int = 100, *, memories: bool = True
    ) -> list[dict[str, Any]]:
        """Events of this user with a larger number, oldest first; each has ``event_number`` and ``type``.
        ``memories``: with the memory of those that tell of one."""

    async def latest_events(self, uids: Collection[str]) -> dict[str, int]:
        """The number of each user's newest event, in one look for all; a user without events may be left out."""

    async def knows_person(self, uid: str, person_id: str) -> bool:
        """Whether this is one of the user's people (deleted ones are not)."""

    def events_group(self, uid: str) -> str:
        """Name of the channel-layer group that is nudged when an event was appended."""


@dataclass(frozen=True, slots=True)
class VoiceLabel:
    """Who a live speaker is. ``score`` is calibrated 0..1; both None/False means an honest unknown.

    ``judged`` False: there was too little to say anything, and a label that is there stays. ``provisional``: named on
    little speech, to be asked about again. ``reason``: a code of ``speakers.reasons``.
    """

    is_user: bool = False
    person_id: str | None = None
    score: float = 0.0
    evidence_seconds: float = 0.0
    judged: bool = True
    provisional: bool = False
    reason: str = ""


class VoiceLabeller(Protocol):
    """Names live voices. Implemented by ``speakers.live``. Runs its engine outside the web process."""

    async def label(self, uid: str, voices: dict[str, list[NDArray[np.int16]]]) -> dict[str, VoiceLabel]:
        """Say who speaks. ``voices`` maps a session-wide speaker label to clips (16 kHz mono int16) of that voice
        alone.

        It must hold **all** voices of the conversation, also those that were named before: one person is one voice of
        the room. Returns a label for each of them; where it names nobody and was ``judged``, an earlier name no longer
        holds. Empty where there is nobody to recognise.
        """

    async def embed(self, clips: list[NDArray[np.int16]]) -> list[NDArray[np.float32] | None]:
        """A unit vector for the voice of each clip, None where it holds too little speech: to tell voices apart where
        the vendor does not."""

    async def same_utterance(self) -> float:
        """Cosine of two vectors of ``embed`` from which they are rather one voice than two."""

    async def has_profile(self, uid: str) -> bool: ...
