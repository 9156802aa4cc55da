"""The port of pre-recorded transcription: a whole recording in, words out.

Vendors that queue work are asked in two moves so that no worker waits: ``submit`` gives a ticket that is stored before
anything else happens, ``poll`` is asked later (by timer or webhook) until there is a transcript. A vendor that answers
at once returns the transcript from ``submit``. Adapters raise ProviderError only, never sleep and never retry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, Field

from omi.core.errors import ProviderError, UnsupportedFeature
from omi.core.vendor_errors import unreadable
from omi.core.vendor_fields import Losses
from transcription.segments import Word


@dataclass(frozen=True, slots=True)
class PrerecordedCapabilities:
    """What a vendor of recorded speech can do; ``languages`` is None where it takes all."""

    languages: frozenset[str] | None
    diarization: bool
    vocabulary: bool = False
    detects_language: bool = False
    remote: bool = True  # False: runs on this machine and is free
    needs_url: bool = False  # True: takes only an address, not bytes
    cost_per_minute: float = 0.0  # US dollars, list price, for estimates only

    def hears(self, language: str | None) -> bool:
        return self.languages is None or language in (None, "multi") or language.split("-")[0].lower() in self.languages


@dataclass(frozen=True, slots=True)
class PrerecordedRequest:
    """A recording that is to be transcribed. ``path``: a 16 kHz mono WAV on this machine. ``url``: the same for the
    vendor to fetch, where there is one.

    ``language`` None or ``multi`` asks for detection. ``speakers`` is a hint for the number of voices, not an order.
    ``webhook_url`` is where a queueing vendor may call back. ``seconds`` is the length of the audio.
    """

    path: Path
    seconds: float
    language: str | None = None
    diarize: bool = True
    speakers: int | None = None
    vocabulary: tuple[str, ...] = ()
    url: str | None = None
    webhook_url: str | None = None
    reference: str = ""
    timeout: float = 600.0


class JobLost(ProviderError):
    """The queued job ended without a result, or the vendor no longer knows it.

    Polling again gives the same answer for ever: when ``kind`` is transient, the way on is a new ``submit``.
    """

    @classmethod
    def of(cls, error: ProviderError) -> JobLost:
        return cls(
            error.vendor,
            error.message,
            kind=error.kind,
            code=error.code,
            retry_after=error.retry_after,
            outcome=error.outcome,
        )


class Ticket(BaseModel):
    """What must be remembered to ask again: JSON-safe, stored in the run before anything waits."""

    vendor: str
    id: str
    state: dict[str, Any] = Field(default_factory=dict)


class Pending(BaseModel):
    """The answer of a vendor that is not ready. Ask again after ``seconds``. ``detail`` is safe to show (queue
    position, in progress)."""

    ticket: Ticket
    seconds: float = 5.0
    detail: str = ""


class Transcript(BaseModel):
    """Words in time order, seconds since the start of the recording. Empty words are a legal answer: silence.

    ``language``: what the vendor says that it heard, whatever it was asked for; None where it does not say.
    ``dropped``: how many parts of the answer could not be read and were left out.
    """

    vendor: str
    model: str
    words: list[Word]
    language: str | None = None
    diarized: bool = False
    audio_seconds: float = 0.0
    cost: float = 0.0
    dropped: int = 0


class PrerecordedTranscriber(Protocol):
    """The port that every vendor of recorded speech implements: a job is submitted, polled, canceled, forgotten."""

    name: str
    model_name: str
    capabilities: PrerecordedCapabilities

    def submit(self, request: PrerecordedRequest) -> Pending | Transcript: ...

    def poll(self, ticket: Ticket) -> Pending | Transcript:
        """Ask once for the result of a job; raises JobLost where this ticket will never give a transcript."""

    def cancel(self, ticket: Ticket) -> None: ...

    def forget(self, ticket: Ticket) -> None:
        """Erase what the vendor keeps of this job, where it can be asked to. No error where it cannot.

        ``ticket.state`` may be empty: of a job that was given up only its id is remembered.
        """


def online(languages: frozenset[str], cost_per_minute: float) -> PrerecordedCapabilities:
    """What the vendors in use have in common: they tell voices apart, take a vocabulary and detect the language."""
    return PrerecordedCapabilities(
        languages=languages, diarization=True, vocabulary=True, detects_language=True, cost_per_minute=cost_per_minute
    )


def transcript_of(
    provider: PrerecordedTranscriber, words: list[Word], *, language: str | None, seconds: float, losses: Losses
) -> Transcript:
    """Return ``words`` as ``provider``'s answer about a recording of ``seconds``, at its list price.

    Raises ProviderError (permanent) where the answer held parts and not one word of them could be read.
    """
    losses.report()
    if losses.parts and not words:
        raise unreadable(provider.name, "no word of the answer can be read")
    return Transcript(
        vendor=provider.name,
        model=provider.model_name,
        words=words,
        language=language,
        diarized=any(word.speaker is not None for word in words),
        audio_seconds=seconds,
        cost=round(seconds / 60 * provider.capabilities.cost_per_minute, 6),
        dropped=losses.parts,
    )


def later(ticket: Ticket, detail: str) -> Pending:
    """Return that a job is not ready: it is asked ever more rarely, every half a minute in the end."""
    polls = int(ticket.state.get("polls", 0)) + 1
    following = ticket.model_copy(update={"state": {**ticket.state, "polls": polls}})
    return Pending(ticket=following, seconds=min(30.0, 2.0 + polls), detail=detail)


def require(name: str, capabilities: PrerecordedCapabilities, request: PrerecordedRequest) -> None:
    """Make sure that the vendor can do what is asked; raises UnsupportedFeature.

    Diarization is not checked: a provider without it says so in its capabilities, and ``speakers`` does it then.
    """
    if not capabilities.hears(request.language):
        raise UnsupportedFeature(name, f"language {request.language!r}")
    if request.vocabulary and not capabilities.vocabulary:
        raise UnsupportedFeature(name, "a vocabulary")
    if capabilities.needs_url and not request.url:
        raise UnsupportedFeature(name, "audio without a public address (set OMI_PUBLIC_URL)")
