"""The place of a memory that answers a search: its segment, the moment in the recording, and which words matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from memories.passages import spelling
from memories.search.words import held, terms, words
from memories.shapes import Memory
from transcription.segments import Segment

MOST_LOOKED_AT = 200_000
"""Characters of a memory that are looked through for the best place."""
LENGTH = 240


@dataclass(frozen=True, slots=True)
class Place:
    """The passage that a hit shows: ``text`` as it was said, cut to ``LENGTH`` around the first match; ``highlights``
    are offsets in it. ``start`` and ``end`` in seconds of the memory, None where the text is the overview; ``segment``
    is the segment's index."""

    text: str
    highlights: list[tuple[int, int]]
    start: float | None = None
    end: float | None = None
    segment: int | None = None


def place(memory: Memory, query: str, near: tuple[float, float] | None = None) -> Place | None:
    """The segment that holds most of the query's words; of several the one within ``near`` (the passage that is nearest
    in meaning, seconds). Without any word the beginning of that passage, else the overview. None where there is
    nothing to show."""
    wanted = set(terms(query))
    best = _best(memory.transcript_segments, wanted, near)
    if best is None and near is not None:
        best = next((i for i, item in enumerate(memory.transcript_segments) if item.end > near[0] + 0.01), None)
    if best is not None:
        segment = memory.transcript_segments[best]
        text, marks = _cut(segment.text, held(wanted, segment.text))
        return Place(text, marks, segment.start, segment.end, best)
    text, marks = _cut(memory.structured.overview, held(wanted, memory.structured.overview))
    return Place(text, marks, *(near or (None, None))) if text or near else None


def _best(segments: Sequence[Segment], wanted: set[str], near: tuple[float, float] | None) -> int | None:
    best: tuple[float, int] | None = None
    looked = 0
    for index, segment in enumerate(segments):
        looked += len(segment.text)
        if looked > MOST_LOOKED_AT:
            break
        here = set(words(segment.text))
        count = len(wanted & here) + 0.5 * sum(
            any(spelling.alike(word, other) for other in here) for word in wanted - here
        )
        if near is not None and count and near[0] <= segment.start <= near[1]:
            count += 1.0
        if count and (best is None or count > best[0]):
            best = (count, index)
    return None if best is None else best[1]


def _cut(text: str, marks: list[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    if len(text) <= LENGTH:
        return text, marks
    first = marks[0][0] if marks else 0
    begin = 0 if first < LENGTH * 2 // 3 else first - LENGTH // 3
    while begin and begin < first and not text[begin - 1].isspace():
        begin += 1
    lead = "…" if begin else ""
    part = text[begin : begin + LENGTH - 1 - len(lead)].rstrip()
    shift = len(lead) - begin
    inside = [(start + shift, end + shift) for start, end in marks if start >= begin and end <= begin + len(part)]
    return f"{lead}{part}…" if begin + len(part) < len(text) else lead + part, inside
