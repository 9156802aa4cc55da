"""To which conversation each stretch of an offline recording belongs, by the rules of a live one. Pure.

What ends a conversation is the same: nobody spoke for the gap. A stretch goes on with the device's newest conversation
that had begun by then, unless that has ended or the gap has passed. Times are Unix seconds, or seconds of a file as
named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from transcription.spans import Span, intersect, length, merge, subtract

LEAST: Final = 0.3
"""Seconds of speech below which a file counts as silent: a click or a cough can pass the detector."""
AROUND: Final = 1.0
"""Seconds of quiet that are taken along on either side of what was said."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A file on the wall clock. ``regions``: where somebody speaks, in seconds of the file."""

    number: int
    began: float
    seconds: float
    regions: Sequence[Span]


@dataclass(slots=True)
class Known:
    """A conversation of the device. ``last``: of its last audio or word; ``covered``: what of the wall clock its
    sessions have heard; ``there``: the user has not deleted it. ``id`` "": it is made of this batch."""

    id: str
    began: float
    last: float
    ended: bool = False
    there: bool = True
    covered: Sequence[Span] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file. ``speech``: in seconds of the file, too."""

    number: int
    start: float
    end: float
    speech: Sequence[Span]


@dataclass(slots=True)
class Group:
    """What belongs to one conversation, in order of time. ``conversation``: "" where it is a new one."""

    conversation: str
    parts: list[Part] = field(default_factory=list)


def place(recordings: Sequence[Recording], known: Sequence[Known], *, gap: float, longest: float) -> list[Group]:
    """Put recordings beside what is known: groups in order of time. What was heard before, or stands in two of the
    files, is taken once.

    ``longest``: seconds of a conversation; what goes on for longer begins another one.
    """
    files = {item.number: item for item in recordings}
    taken = merge([span for item in known for span in item.covered])
    spoken: list[tuple[float, float, int, Span]] = []  # a region, its file, and the unheard stretch that it lies in
    for item in sorted(recordings, key=lambda one: (one.began, one.number)):
        whole = [(item.began, item.began + item.seconds)]
        free = subtract(whole, taken)
        taken = merge([*taken, *whole])
        regions = merge([(item.began + start, item.began + end) for start, end in item.regions])
        if length(intersect(regions, free)) < LEAST:
            continue
        spoken += [
            (start, end, item.number, stretch) for stretch in free for start, end in intersect(regions, [stretch])
        ]
    groups = _grouped(sorted(spoken), [Known(one.id, one.began, one.last, one.ended, one.there) for one in known],
                      gap=gap, longest=longest)  # fmt: skip
    around = min(AROUND, gap / 4)
    return [Group(name, _parts(spans, files, around)) for name, spans in groups]


Spoken = tuple[float, float, int, Span]


def _grouped(
    spoken: Sequence[Spoken], open_now: list[Known], *, gap: float, longest: float
) -> list[tuple[str, list[Spoken]]]:
    found: dict[int, tuple[str, list[Spoken]]] = {}
    for span in spoken:
        start, end = span[0], span[1]
        before = [one for one in open_now if one.began <= start]
        newest = max(before, key=lambda one: one.began, default=None)
        if newest is None or not _goes_on(newest, start, end, gap, longest):
            newest = Known("", start, end)
            open_now.append(newest)
        newest.last = max(newest.last, end)
        found.setdefault(id(newest), (newest.id, []))[1].append(span)
    return list(found.values())


def _goes_on(one: Known, start: float, end: float, gap: float, longest: float) -> bool:
    """Whether a stretch belongs to a conversation: it lies in it, or follows before the gap has passed."""
    if not one.there or end - one.began > longest:
        return False
    return start < one.last or (not one.ended and start - one.last < gap)


def _parts(spans: Sequence[Spoken], files: dict[int, Recording], around: float) -> list[Part]:
    by_stretch: dict[tuple[int, Span], list[Span]] = {}
    for start, end, number, stretch in spans:
        by_stretch.setdefault((number, stretch), []).append((start, end))
    parts = []
    for (number, stretch), speech in by_stretch.items():
        zero = files[number].began
        first = max(stretch[0], speech[0][0] - around)
        last = min(stretch[1], speech[-1][1] + around)
        told = [(round(start - zero, 3), round(end - zero, 3)) for start, end in speech]
        parts.append(Part(number, round(first - zero, 3), round(last - zero, 3), told))
    return sorted(parts, key=lambda part: files[part.number].began + part.start)
