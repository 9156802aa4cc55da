"""The two ports through which the live session reaches rooms above it: where it stores, and who names voices.

``transcription`` may not import ``memories`` or ``speakers``. ``settings.PROVIDERS["session_sink"]`` and
``["voice_labeller"]`` name the implementations, so that the web process, workers and commands all find the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from transcription.segments import Segment


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

    @property
    def fenced_from(self) -> datetime:
        """An account that was erased at or after this moment takes nothing of this session any more. ``signed_in``:
        when the user did (Unix seconds); where it is not known, the session's own beginning counts."""
        return datetime.fromtimestamp(self.signed_in, UTC) if self.signed_in else self.started_at


@dataclass(slots=True)
class Conversation:
    """The processing memory that a session writes into.

    ``offset``: seconds to add to this session's times to get the conversation's (0 for a new one; larger where the
    client came back within the gap). ``segments`` are those already stored, in conversation time.
    """

    id: str
    started_at: datetime
    offset: float = 0.0
    resumed: bool = False
    segments: list[Segment] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Accounting:
    """Where every second of received audio went. ``transcribed + silence + failed == received`` to within a frame."""

    received: float
    transcribed: float
    silence: float
    failed: float
    reasons: dict[str, float] = field(default_factory=dict)


class SessionSink(Protocol):
    """Stores conversations. Implemented by ``memories.capture``. Methods may raise; the journal is the safety net."""

    async def open(self, session: SessionInfo, *, watch: bool = True) -> Conversation:
        """Create a processing memory, or resume the one this user's device left within the gap."""

    async def store(
        self,
        session: SessionInfo,
        conversation: Conversation,
        segments: Sequence[Segment],
        *,
        last_audio: float,
        assigned: Mapping[str, VoiceLabel] | None = None,
    ) -> None:
        """Write the shown segments (the whole list, conversation time). Never overwrites text with nothing.

        ``assigned``: who a person said that a segment (its id) is of; a user's edit, which wins over every later run.
        """

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
        """The conversation is over: ask for the memory. ``keep``: the user asked, so it is never discarded."""

    async def events_after(
        self, uid: str, number: int, limit: int = 100, *, memories: bool = True
    ) -> list[dict[str, Any]]:
        """Events of this user with a larger number, oldest first; each has ``event_number`` and ``type``.
        ``memories``: with the memory of those that tell of one."""

    async def latest_event(self, uid: str) -> int: ...

    async def knows_person(self, uid: str, person_id: str) -> bool:
        """Whether this is one of the user's people (deleted ones are not)."""

    def events_group(self, uid: str) -> str:
        """Name of the channel-layer group that is nudged when an event was appended."""


@dataclass(frozen=True, slots=True)
class VoiceLabel:
    """Who a live speaker is. ``score`` is calibrated 0..1; both None/False means an honest unknown."""

    is_user: bool = False
    person_id: str | None = None
    score: float = 0.0
    evidence_seconds: float = 0.0


class VoiceLabeller(Protocol):
    """Names live voices. Implemented by ``speakers.live``. Runs its engine outside the web process."""

    async def label(self, uid: str, voices: dict[str, list[NDArray[np.int16]]]) -> dict[str, VoiceLabel]:
        """``voices`` maps a session-wide speaker label to clips (16 kHz mono int16) of that voice alone.

        Returns a label for each speaker that is decided; the others are left out.
        """

    async def embed(self, clips: list[NDArray[np.int16]]) -> list[NDArray[np.float32] | None]:
        """A unit vector for the voice of each clip, None where it holds too little speech: to tell voices apart where
        the vendor does not."""

    async def has_profile(self, uid: str) -> bool: ...
