"""Cutting a transcript into passages of about a minute, at the ends of segments. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from transcription.segments import Segment

SECONDS = 60.0
MOST_CHARACTERS = 1500
"""Of a passage: the local model reads about a thousand characters at once, and the mean of two such parts still says
what a minute was about."""
MOST = 2000
"""Passages of one memory: more than a day of talk."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a transcript that is embedded as one. ``start`` and ``end`` in seconds of the memory; ``first`` and
    ``last`` are indexes of segments, both in it."""

    number: int
    start: float
    end: float
    first: int
    last: int
    text: str


def passages(segments: Sequence[Segment]) -> list[Passage]:
    """Cut a transcript into passages, in order and without overlap. A segment is never cut; one without words belongs
    to none."""
    made: list[Passage] = []
    held: list[tuple[int, Segment]] = []
    size = 0
    for index, segment in enumerate(segments):
        if not segment.text.strip():
            continue
        full = held and (segment.end - held[0][1].start > SECONDS or size + len(segment.text) > MOST_CHARACTERS)
        if full:
            made.append(_of(len(made), held))
            held, size = [], 0
            if len(made) >= MOST:
                return made
        held.append((index, segment))
        size += len(segment.text) + 1
    if held:
        made.append(_of(len(made), held))
    return made


def _of(number: int, held: Sequence[tuple[int, Segment]]) -> Passage:
    text = " ".join(segment.text.strip() for _, segment in held)
    end = max(segment.end for _, segment in held)
    return Passage(number, held[0][1].start, end, held[0][0], held[-1][0], text)
