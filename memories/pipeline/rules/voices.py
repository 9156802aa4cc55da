"""A person's operations on voices: two that are one, and passages that are another voice. Pure functions.

An operation keeps the moments that it speaks of: in another transcript the same label is another voice, and the voices
that are meant are found by the time in which they speak.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memories.pipeline.rules import user_edits
from memories.shapes import Change, UserEdits
from transcription.segments import Segment, speaker_label, speaker_number

KINDS: Final = ("voice_merge", "voice_split")
MOST_MOVED: Final = 3000
"""Segments that all operations on the voices of a memory change together: each stands in its document."""
MOST_SPANS: Final = 500
"""Moments that an operation keeps of a voice, the longest ones."""
PAUSE: Final = 1.0
"""Seconds between two segments of a voice that are kept as one moment."""
HALF: Final = 0.5

Spans = list[tuple[float, float]]
Who = tuple[bool, str | None]
Floats = NDArray[np.float64]


def active(edits: UserEdits) -> list[Change]:
    """The operations on voices that hold, oldest first."""
    return [change for change in edits.changes if change.undone_at is None and change.kind in KINDS]


def spans_of(segments: Sequence[Segment]) -> list[float]:
    """Return when these speak: start and end of each moment behind one another (a document holds no list in a list)."""
    joined: Spans = []
    for item in sorted(segments, key=lambda one: one.start):
        if joined and item.start - joined[-1][1] <= PAUSE:
            joined[-1] = (joined[-1][0], max(joined[-1][1], item.end))
        else:
            joined.append((item.start, item.end))
    longest = sorted(sorted(joined, key=lambda span: span[0] - span[1])[:MOST_SPANS])
    return [round(second, 2) for span in longest for second in span]


def free_label(taken: Sequence[str]) -> str:
    """A label that no voice has."""
    return speaker_label(max((speaker_number(label) for label in taken), default=-1) + 1)


def lay(segments: Sequence[Segment], edits: UserEdits) -> tuple[list[Segment], UserEdits]:
    """Return ``segments`` (with the machine's labels) with the person's voices, and the edits with what each operation
    changed here. One that finds its voices nowhere, or too many segments of them, changes nothing and is ``orphaned``.
    """
    changes = active(edits)
    if not changes:
        return list(segments), edits
    shown, settled, left = list(segments), {}, MOST_MOVED
    known = _Voices(segments)
    for change in changes:
        if change.kind == "voice_merge":
            moved = _joined(shown, known, change, edits)
        else:
            moved = _parted(shown, known, change, edits)
        if moved is None or len(moved) > left:
            settled[change.id] = change.model_copy(update={"places": {}, "names": {}, "orphaned": True})
            continue
        left -= len(moved)
        before = {index: shown[index] for index in moved}
        names = {item.id: _name(_who(item)) for index, item in before.items() if _who(item) != _who(moved[index])}
        places = {item.id: item.speaker for item in before.values()}
        settled[change.id] = change.model_copy(update={"places": places, "names": names, "orphaned": False})
        for index, item in moved.items():
            shown[index] = item
        known.moved(moved)
    return shown, edits.model_copy(update={"changes": [settled.get(item.id, item) for item in edits.changes]})


class _Voices:
    """When the segments of a transcript speak and who, as arrays: operations change voices and no times."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._starts = np.array([item.start for item in segments], dtype=float)
        self._ends = np.array([item.end for item in segments], dtype=float)
        self.lengths = self._ends - self._starts
        self._codes: dict[str, int] = {}
        self._who = np.array([self._code(item.speaker) for item in segments], dtype=int)

    def _code(self, label: str) -> int:
        return self._codes.setdefault(label, len(self._codes))

    def moved(self, moved: Mapping[int, Segment]) -> None:
        """Follow an operation that was laid."""
        for index, item in moved.items():
            self._who[index] = self._code(item.speaker)

    def of(self, labels: Collection[str]) -> list[int]:
        """Which segments these voices say."""
        found: list[int] = np.flatnonzero(np.isin(self._who, [self._codes[label] for label in labels])).tolist()
        return found

    def shared(self, flat: Sequence[float]) -> Floats:
        """Seconds of each segment that lie in the moments, which are sorted and apart."""
        if len(flat) < 2:
            return np.zeros(len(self._starts))
        edges = np.array(flat[: len(flat) // 2 * 2], dtype=float)
        told = np.repeat(np.cumsum(np.diff(edges)[::2]), 2)
        told[::2] = np.concatenate([[0.0], told[1:-1:2]])
        # How much of the moments lies before each edge: it grows within them, and stays between them.
        found: Floats = np.maximum(0.0, np.interp(self._ends, edges, told) - np.interp(self._starts, edges, told))
        return found

    def inside(self, flat: Sequence[float]) -> dict[str, float]:
        """The voices that speak in these moments for more than half of their own time, or of that of the moments, with
        the seconds that they do."""
        whole = sum(flat[1::2]) - sum(flat[: len(flat) // 2 * 2 : 2])
        told, total = (np.bincount(self._who, by, len(self._codes)) for by in (self.shared(flat), self.lengths))
        return {
            label: float(told[code])
            for label, code in self._codes.items()
            if told[code] > HALF * min(total[code], whole) > 0
        }


def _joined(segments: Sequence[Segment], known: _Voices, change: Change, edits: UserEdits) -> dict[int, Segment] | None:
    """Segments that change, by index, where two voices become one; None where the voices are not found. In a transcript
    that takes both for one voice already nothing changes."""
    which, into = (known.inside(spans) for spans in (change.spans, change.into_spans))
    if not which or not into:
        return None
    target = max(into, key=lambda label: into[label])
    sources = set(which) - {target}
    both = [(index, segments[index]) for index in (known.of({*sources, target}) if sources else ())]
    who = _most([item for _, item in both if item.speaker == target]) or _most([item for _, item in both])
    moved = {}
    for index, item in both:
        said = _decided(item, who or (False, None), edits)
        if (item.speaker, _who(item)) != (target, said):
            moved[index] = item.model_copy(update={"speaker": target, **_name(said)})
    return moved


def _parted(segments: Sequence[Segment], known: _Voices, change: Change, edits: UserEdits) -> dict[int, Segment] | None:
    """Segments that become a voice of their own, by index; None where nothing lies in those moments."""
    inside = set(np.flatnonzero(known.shared(change.spans) >= HALF * np.maximum(known.lengths, 0.01)).tolist())
    if not inside:
        return None
    others = [item.speaker for index, item in enumerate(segments) if index not in inside]
    label = str(change.into) if change.into not in others else free_label([*others, str(change.into)])
    named = edits.speakers.get(str(change.into), {})
    who = (bool(named.get("is_user")), named.get("person_id"))
    return {
        index: segments[index].model_copy(update={"speaker": label, **_name(_decided(segments[index], who, edits))})
        for index in inside
    }


def _decided(segment: Segment, who: Who, edits: UserEdits) -> Who:
    """What the person said of this very segment, else ``who``."""
    said = user_edits.of_segment(segment, edits.segments)
    return who if said is None else (bool(said["is_user"]), said["person_id"])


def _most(segments: Sequence[Segment]) -> Who | None:
    """The name that most of these bear; None where they bear none."""
    count = Counter(_who(item) for item in segments if _who(item) != (False, None))
    return count.most_common(1)[0][0] if count else None


def _who(segment: Segment) -> Who:
    return segment.is_user, segment.person_id


def _name(who: Who) -> Mapping[str, Any]:
    return {"is_user": who[0], "person_id": who[1]}
