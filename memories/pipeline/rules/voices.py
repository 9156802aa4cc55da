"""A person's operations on voices: two that are one, and passages that are another voice. Pure functions.

An operation keeps the moments that it speaks of: in another transcript the same label is another voice, and the voices
that are meant are found by the time in which they speak.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

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


def active(edits: UserEdits) -> list[Change]:
    """The operations on voices that hold, oldest first."""
    return [change for change in edits.changes if change.undone_at is None and change.kind in KINDS]


def spans_of(segments: Sequence[Segment]) -> list[float]:
    """When these speak: start and end of each moment behind one another (a document holds no list in a list)."""
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
    """``segments`` (with the machine's labels) with the person's voices, and the edits with what each operation changed
    here. One that finds its voices nowhere, or too many segments of them, changes nothing and is ``orphaned``."""
    changes = active(edits)
    if not changes:
        return list(segments), edits
    shown, settled, left = list(segments), {}, MOST_MOVED
    for change in changes:
        moved = _joined(shown, change, edits) if change.kind == "voice_merge" else _parted(shown, change, edits)
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
    return shown, edits.model_copy(update={"changes": [settled.get(item.id, item) for item in edits.changes]})


def _joined(segments: Sequence[Segment], change: Change, edits: UserEdits) -> dict[int, Segment] | None:
    """Segments that change, by index, where two voices become one; None where the voices are not found. In a transcript
    that takes both for one voice already nothing changes."""
    which, into = _voices_in(segments, change.spans), _voices_in(segments, change.into_spans)
    if not which or not into:
        return None
    target = max(into, key=lambda label: into[label])
    sources = set(which) - {target}
    both = [(index, item) for index, item in enumerate(segments) if item.speaker in sources or item.speaker == target]
    who = _most([item for _, item in both if item.speaker == target]) or _most([item for _, item in both])
    moved = {}
    for index, item in both if sources else ():
        changed = item.model_copy(update={"speaker": target, **_name(who or (False, None))})
        changed = _decided(changed, edits)
        if (changed.speaker, _who(changed)) != (item.speaker, _who(item)):
            moved[index] = changed
    return moved


def _parted(segments: Sequence[Segment], change: Change, edits: UserEdits) -> dict[int, Segment] | None:
    """Segments that become a voice of their own, by index; None where nothing lies in those moments."""
    spans = _pairs(change.spans)
    inside = {
        index for index, item in enumerate(segments)
        if _shared(item, spans) >= HALF * max(item.end - item.start, 0.01)
    }  # fmt: skip
    if not inside:
        return None
    others = [item.speaker for index, item in enumerate(segments) if index not in inside]
    label = str(change.into) if change.into not in others else free_label([*others, str(change.into)])
    named = edits.speakers.get(str(change.into), {})
    who = (bool(named.get("is_user")), named.get("person_id"))
    return {
        index: _decided(segments[index].model_copy(update={"speaker": label, **_name(who)}), edits) for index in inside
    }


def _voices_in(segments: Sequence[Segment], flat: Sequence[float]) -> dict[str, float]:
    """The voices that speak in these moments for more than half of their own time, or of that of the moments, with the
    seconds that they do."""
    spans = _pairs(flat)
    whole = sum(end - start for start, end in spans)
    shared: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    for item in segments:
        total[item.speaker] += item.end - item.start
        shared[item.speaker] += _shared(item, spans)
    return {label: told for label, told in shared.items() if told > HALF * min(total[label], whole) > 0}


def _pairs(flat: Sequence[float]) -> Spans:
    return list(zip(flat[::2], flat[1::2], strict=False))


def _shared(segment: Segment, spans: Spans) -> float:
    """Seconds of the segment that lie in the moments, which are sorted and apart."""
    at = max(0, bisect_right(spans, (segment.start, float("inf"))) - 1)
    told = 0.0
    while at < len(spans) and spans[at][0] < segment.end:
        told += max(0.0, min(segment.end, spans[at][1]) - max(segment.start, spans[at][0]))
        at += 1
    return told


def _decided(segment: Segment, edits: UserEdits) -> Segment:
    """With what the person said of this very segment."""
    said = user_edits.of_segment(segment, edits.segments)
    return segment if said is None else segment.model_copy(update=dict(said))


def _most(segments: Sequence[Segment]) -> Who | None:
    """The name that most of these bear; None where they bear none."""
    count = Counter(_who(item) for item in segments if _who(item) != (False, None))
    return count.most_common(1)[0][0] if count else None


def _who(segment: Segment) -> Who:
    return segment.is_user, segment.person_id


def _name(who: Who) -> Mapping[str, Any]:
    return {"is_user": who[0], "person_id": who[1]}
