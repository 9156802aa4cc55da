"""What the product made of an item, in the terms of the dataset: words, speakers by name, structure, time and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from memories.shapes import Structured

UNKNOWN = "unknown"
GAP = 0.5
"""Seconds without a word from which speech counts as interrupted: people pause that long between phrases."""


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One word. ``voice`` is the transcript's label, ``who`` the name that the product gave it, or ``UNKNOWN``."""

    text: str
    start: float
    end: float
    voice: str
    who: str

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words of one voice that follow each other with less than ``GAP`` between them."""

    text: str
    start: float
    end: float
    voice: str
    who: str


@dataclass(slots=True)
class MadeMemory:
    """The memory that came of an item. ``failure`` is why none did; then the rest is empty.

    ``latency`` is seconds from the upload to the finished memory, ``cost`` US dollars at list prices. ``steps`` are
    seconds by step of the pipeline, ``models`` what did the work.
    """

    words: list[HeardWord] = field(default_factory=list)
    text: str = ""
    structured: Structured | None = None
    discarded: bool = False
    seconds: float = 0.0
    latency: float = 0.0
    cost: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    memory_id: str = ""
    note: str = ""
    failure: str = ""

    @property
    def stretches(self) -> list[Stretch]:
        return stretches(self.words)


def stretches(words: Sequence[HeardWord]) -> list[Stretch]:
    """Return ``words`` joined where one voice goes on."""
    found: list[Stretch] = []
    for word in sorted(words, key=lambda item: (item.start, item.end)):
        last = found[-1] if found else None
        if last is not None and last.voice == word.voice and last.who == word.who and word.start - last.end < GAP:
            found[-1] = Stretch(f"{last.text} {word.text}", last.start, max(last.end, word.end), last.voice, last.who)
        else:
            found.append(Stretch(word.text, word.start, word.end, word.voice, word.who))
    return found
