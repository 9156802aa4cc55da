"""The ports of structuring and text embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from memories.document_parts import Section
from memories.shapes import Structured
from omi.core.partial_results import NothingKept, PartialResults
from transcription.segments import Segment


@dataclass(frozen=True, slots=True)
class StructureRequest:
    """A conversation to put in order. ``force``: the user asked for this memory, so it is never discarded.

    ``language`` is what was spoken; ``answer_language`` the user's. ``names`` maps person_id to a name. ``parts`` keeps
    what is paid for of a talk that takes several calls. ``timeout`` in seconds, for each call. ``prompt`` names one of
    ``prompts.VARIANTS``; ``discard_below``: with fewer different words that mean something it is small change.
    """

    segments: Sequence[Segment]
    started_at: datetime
    language: str | None = None
    answer_language: str = "en"
    time_zone: str = "UTC"
    force: bool = False
    names: dict[str, str] = field(default_factory=dict)
    user_name: str = "User"
    timeout: float = 120.0
    prompt: str = ""
    discard_below: int = 4
    parts: PartialResults = field(default_factory=NothingKept)


@dataclass(frozen=True, slots=True)
class StructureResult:
    """What a structurer made of a conversation: ``discarded`` with ``discard_reason``; ``method`` says what made it
    (``extractive``, a model's name).

    Tokens and cost (US dollars) are of the calls that were made now, not of parts that were kept from before.
    """

    structured: Structured
    discarded: bool = False
    discard_reason: str = ""
    method: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


LONGEST_INSTRUCTION: Final = 300
"""Characters of what belongs into a section of a template."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A section that is to be filled. ``instruction``: what belongs there. ``rule``: how it is found without a model,
    one of ``filling.RULES``."""

    heading: str
    instruction: str = ""
    rule: str = "alike"


@dataclass(frozen=True, slots=True)
class FillResult:
    """The sections that a structurer filled: ``sections`` in the order of what was wanted; the rest as in
    ``StructureResult``."""

    sections: list[Section]
    method: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class Structurer(Protocol):
    """The port that makes a memory's summary, and fills the sections of a template."""

    name: str
    model_name: str
    remote: bool

    def structure(self, request: StructureRequest) -> StructureResult:
        """Return the summary of a conversation, or that it is discarded; raises ProviderError only."""

    def fill(self, request: StructureRequest, wanted: Sequence[Wanted], made: Structured) -> FillResult:
        """The sections of a template, from what was said and nothing else. ``made``: the structure of this talk.

        Raises ProviderError only.
        """


class Embedder(Protocol):
    """The port of text embedding: ``embed`` gives one unit vector of ``dimension`` floats per text, in order, in as few
    calls as may be."""

    name: str
    model_name: str
    dimension: int
    remote: bool
    price: float
    """US dollars per million tokens, for estimates; 0 for a model on this machine."""

    def embed(self, texts: Sequence[str], *, query: bool = False) -> list[list[float]]: ...
