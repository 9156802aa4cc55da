"""The port of emotion measurement, and the vendor-neutral form in which emotions are stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, Field

from omi.core.partial_results import NothingKept, PartialResults
from transcription.segments import Segment


class EmotionScore(BaseModel):
    """One emotion of a span. ``name`` in the vendor's vocabulary, lower case; ``score`` 0..1, comparable within one
    model only."""

    name: str
    score: float


class EmotionSpan(BaseModel):
    """What was measured between two moments, in memory time. ``speaker``/``is_user`` from the segments under it."""

    start: float
    end: float
    emotions: list[EmotionScore]
    speaker: str | None = None
    is_user: bool = False

    @property
    def leading(self) -> str:
        """The emotion with the highest score; "" where none was measured."""
        return max(self.emotions, key=lambda item: (item.score, item.name)).name if self.emotions else ""


class EmotionTimeline(BaseModel):
    """What was measured of a memory's emotions. ``kind`` says what the numbers are: ``expression`` (a vendor's model)
    or ``estimate`` (lexicon and prosody)."""

    vendor: str
    model: str
    kind: Literal["expression", "estimate"]
    spans: list[EmotionSpan] = Field(default_factory=list)
    note: str = ""


@dataclass(frozen=True, slots=True)
class EmotionRequest:
    """What is to be measured. ``path``: 16 kHz mono 16-bit WAV in memory time; ``segments``: who spoke when and what
    was said.

    ``parts`` keeps what is paid for of a recording that takes several calls. ``timeout`` in seconds, for each call.
    """

    path: Path
    seconds: float
    segments: Sequence[Segment]
    language: str | None = None
    timeout: float = 120.0
    parts: PartialResults = field(default_factory=NothingKept)


class EmotionMeter(Protocol):
    """The port that every meter of emotions implements."""

    name: str
    model_name: str
    remote: bool

    def measure(self, request: EmotionRequest) -> EmotionTimeline:
        """Measure the emotions of the request's segments as sorted spans, maybe none. Raises ProviderError only."""
