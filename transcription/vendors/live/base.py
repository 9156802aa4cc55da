"""The port of live transcription: what every vendor adapter (and the local engine) offers.

An adapter speaks one vendor's socket protocol. It converts the vendor's words into ``LiveResult`` with times relative
to the first byte that *this stream* was sent, and the vendor's failures into ``ProviderError``. It never reconnects,
never sleeps between tries and knows nothing of sessions: ``transcription.session.supervisor`` does that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from omi.core.errors import UnsupportedFeature
from transcription.segments import Word

PCM = "pcm_s16le"
NO_ROOM = "local_streams"
"""Code of the (transient) error of a stream that is one too many for this machine: nobody's fault, and no fault."""
MAX_TERM_BYTES = 100
"""Of one word or phrase of a vocabulary: a longer one is no name."""


@dataclass(frozen=True, slots=True)
class LiveCapabilities:
    """What a live vendor can do. ``languages`` None means any; codecs beyond PCM are taken natively.

    ``regions``: the codes with a region or script that it takes; of any other one it is given the language alone.
    ``max_terms`` and ``max_term_bytes`` (UTF-8, in all) bound a vocabulary: a vendor refuses a longer one.
    """

    languages: frozenset[str] | None
    codecs: frozenset[str] = frozenset({PCM})
    diarization: bool = False
    vocabulary: bool = False
    billed_by_second: bool = True
    realtime_only: bool = False  # True: refuses or misbehaves when fed faster than real time
    multilingual: bool = True  # hears ``multi``: several languages in one stream, without being told which
    reports_progress: bool = True  # False: says nothing during silence, so its own silence is no sign of a fault
    regions: frozenset[str] = frozenset()
    cost_per_minute: float = 0.0  # US dollars for a minute of audio that is sent, list price, for estimates only
    max_terms: int = 100
    max_term_bytes: int = 8000

    def hears(self, language: str) -> bool:
        if language == "multi":
            return self.multilingual
        return self.languages is None or language.split("-")[0].lower() in self.languages

    def spoken(self, language: str) -> str:
        """The code under which this vendor is asked for a language: one of its own list, whatever a client wrote."""
        if language == "multi" or self.languages is None:
            return language
        known = {code.lower(): code for code in self.regions}
        return known.get(language.lower(), language.split("-")[0].lower())

    def terms(self, vocabulary: Sequence[str]) -> tuple[str, ...]:
        """Return as much of a vocabulary as this vendor takes, in its order."""
        taken: list[str] = []
        left = self.max_term_bytes
        for term in vocabulary if self.vocabulary else ():
            size = len(term.encode())
            if len(taken) < self.max_terms and 0 < size <= min(left, MAX_TERM_BYTES):
                taken.append(term)
                left -= size
        return tuple(taken)


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """How one stream shall be heard. ``sample_rate`` in hertz, mono; ``vocabulary`` are words to favour."""

    language: str = "en"
    sample_rate: int = 16000
    codec: str = PCM
    diarize: bool = True
    vocabulary: tuple[str, ...] = ()
    session_id: str = ""


@dataclass(frozen=True, slots=True)
class LiveResult:
    """Words heard since the last final result.

    ``final`` words are never changed again and come once; an interim result replaces the interim one before it.
    Times are seconds of audio since the first byte of this stream; speaker labels are valid within this stream only.
    ``heard_until``: everything before it (stream seconds) has been decided, words or silence.
    """

    words: tuple[Word, ...]
    final: bool
    heard_until: float | None = None
    raw: dict[str, object] = field(default_factory=dict)


class LiveStream(Protocol):
    """One open connection. ``results`` ends after ``finish`` when the vendor has said its last word.

    Every method raises ProviderError only. ``close`` is idempotent and never raises.
    """

    async def send(self, audio: bytes) -> None: ...

    def send_now(self, audio: bytes) -> bool:
        """Send without waiting and return True, or return False where that cannot be; never raises: the next ``send``
        does."""

    async def keep_alive(self) -> None: ...

    async def flush(self) -> None:
        """Ask for the final words of what was sent so far; the stream stays open."""

    async def finish(self) -> None:
        """No more audio will come: the vendor answers what is left, then ``results`` ends."""

    async def close(self) -> None: ...

    def results(self) -> AsyncIterator[LiveResult]: ...


class LiveTranscriber(Protocol):
    """A vendor. ``name`` is its short name, ``model_name`` the name its transcripts are stored under."""

    name: str
    model_name: str
    capabilities: LiveCapabilities

    async def open(self, request: LiveRequest) -> LiveStream: ...


def require(name: str, capabilities: LiveCapabilities, request: LiveRequest) -> None:
    """Make sure that the vendor can do what is asked, and downgrade nothing in silence; raises UnsupportedFeature."""
    if not capabilities.hears(request.language):
        raise UnsupportedFeature(name, f"language {request.language!r}")
    if request.codec not in capabilities.codecs:
        raise UnsupportedFeature(name, f"codec {request.codec!r}")
    if request.diarize and not capabilities.diarization:
        raise UnsupportedFeature(name, "diarization")
    if request.vocabulary and not capabilities.vocabulary:
        raise UnsupportedFeature(name, "a vocabulary")
