"""What a live session is given: what its client asked for, the callbacks to that client, and what it works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings

from omi.accounts.users import vocabulary_version
from omi.core.providers import is_configured, many, one
from omi.shared_metrics import counters
from transcription.audio.codecs import Codec
from transcription.ports import SessionSink, VoiceLabeller
from transcription.segments import Segment
from transcription.session.segment_builder import Delta
from transcription.session.vendor_state import Tuning
from transcription.vendors.circuit_breaker import Breaker, breaker_for
from transcription.vendors.live.base import LiveTranscriber


@dataclass(frozen=True, slots=True)
class Plan:
    """What a client asked for."""

    uid: str
    codec: Codec
    language: str = "en"
    watch: bool = True
    device_id: str | None = None
    preferred: str = ""
    order: tuple[str, ...] = ()  # of the vendors, where it is another one for this user
    accuracy: Mapping[str, float] | None = None  # of each vendor, where it is another one for this user
    vocabulary: tuple[str, ...] = ()
    profile: bool = True  # the user's voice may be recognised
    signed_in: float = 0.0  # Unix seconds
    began_at: datetime | None = None  # wall clock of the first audio byte; None: now

    @property
    def vocabulary_version(self) -> str:
        """Names the words that are handed to the vendors; "" for none."""
        return vocabulary_version(self.vocabulary)


@dataclass(slots=True)
class Callbacks:
    """How the session speaks to its client. None of these may raise or wait."""

    segments: Callable[[Sequence[Delta]], None]
    updated: Callable[[Sequence[Segment]], None]
    status: Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Dependencies:
    """What a session needs from outside: bound by ``settings`` in production, given by tests."""

    sink: SessionSink
    vendors: Sequence[LiveTranscriber]
    breaker: Callable[[str], Breaker]
    mode: str = "parallel"
    gate: bool = True
    gap_seconds: float = 120.0
    return_seconds: float = 0.0
    tuning: Tuning | None = None
    labeller: VoiceLabeller | None = None
    consensus: bool = True
    accuracy: Mapping[str, float] = field(default_factory=dict)
    counted: Callable[[], None] | None = None  # a session was counted: what was is written; blocking


def from_settings() -> Dependencies:
    """The dependencies that ``settings`` name."""
    return Dependencies(
        sink=one("session_sink"),
        vendors=many("live"),
        breaker=breaker_for,
        mode=settings.OMI_LIVE_MODE,
        gate=settings.OMI_VAD_GATE,
        gap_seconds=settings.OMI_GAP_SECONDS,
        return_seconds=settings.OMI_RETURN_SECONDS,
        labeller=one("voice_labeller") if is_configured("voice_labeller") else None,
        consensus=settings.OMI_CONSENSUS,
        accuracy=settings.OMI_VENDOR_ACCURACY,
        counted=counters.flush,
    )
