"""Two memories out of one, at a segment: times, voices, and what the user changed, each where it belongs. Pure.

Action items and events have no moment of their own: each goes to the part that says most of its words, as a run that
looks at the part alone would find it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from memories.pipeline.rules import changes as rules
from memories.pipeline.rules.tokens import tokens_in
from memories.reshaping.merging import carried, voices_said, zero_of
from memories.reshaping.shifting import decision, shifted
from memories.shapes import WORDS, Change, Event, Memory, Structured, UserEdits
from transcription.segments import Segment


def cut_at(memory: Memory, segment_id: str) -> float | None:
    """The second at which the part that begins with this segment begins; None where that leaves a part without words,
    or there is no such segment."""
    before, behind = halves(memory, segment_id)
    if not all(any(item.text.strip() for item in half) for half in (before, behind)):
        return None
    return behind[0].start


def halves(memory: Memory, segment_id: str) -> tuple[list[Segment], list[Segment]]:
    """The segments before this one, and from it on, in order of time."""
    ordered = sorted(memory.transcript_segments, key=lambda item: (item.start, item.end))
    at = next((number for number, item in enumerate(ordered) if item.id == segment_id), 0)
    return ordered[:at], ordered[at:]


def split(
    memory: Memory,
    segment_id: str,
    identities: Sequence[str],
    manual: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Memory]:
    """The two memories of these ids that take the place of ``memory``. What belongs to the whole of it (title,
    overview, photos, comments) stays with the first. ``manual``: what the user said of its segments, by id.

    Raises ValueError where ``cut_at`` is None.
    """
    cut = cut_at(memory, segment_id)
    if cut is None:
        raise ValueError("each part must have words")
    both = halves(memory, segment_id)
    sides = _Sides(both, cut)
    said = voices_said(memory, manual or {})
    return [
        _part(memory, segments, identity, number, sides, said).model_copy(
            update={"spoken_beside": _beside(memory, both, number, cut)}
        )
        for number, (segments, identity) in enumerate(zip(both, identities, strict=True))
    ]


def _beside(memory: Memory, both: Sequence[Sequence[Segment]], number: int, cut: float) -> list[float]:
    """Moments of the part's recording, which ends or begins at the cut, that belong to words of the other part: there
    may be another voice, whatever is said later of whose it was. Those of an earlier split go along."""
    offset = cut if number else 0.0
    told = [(cut, max([cut, *(item.end for item in both[0])]))]
    told += zip(memory.spoken_beside[::2], memory.spoken_beside[1::2], strict=False)
    return [round(second - offset, 3) for start, end in told for second in (start, end)]


class _Sides:
    """Which half something belongs to: 0 or 1."""

    def __init__(self, halves: Sequence[Sequence[Segment]], cut: float) -> None:
        self.cut = cut
        self._ids = [{item.id for item in half} for half in halves]
        self._words = [{word for item in half for word in tokens_in(item.text)} for half in halves]

    def of_text(self, text: str) -> int:
        """The one that has more of its words, in doubt the first."""
        wanted = set(tokens_in(text))
        return int(len(wanted & self._words[1]) > len(wanted & self._words[0]))

    def of_segment(self, identity: str | None, start: Any) -> int:
        """That of the segment; of one that is not shown the one in whose time it lies."""
        for number, ids in enumerate(self._ids):
            if identity in ids:
                return number
        return int(isinstance(start, int | float) and float(start) >= self.cut)


def _part(
    memory: Memory,
    segments: Sequence[Segment],
    identity: str,
    number: int,
    sides: _Sides,
    voices: Mapping[str, Mapping[str, Any]],
) -> Memory:
    offset = sides.cut if number else 0.0
    zero = zero_of(memory) + timedelta(seconds=offset)
    first = number == 0
    last = max(item.end for item in segments)
    began = memory.started_at if first else zero
    ended = zero_of(memory) + timedelta(seconds=last) if first else memory.finished_at
    edits = _edits(memory, segments, number, sides, voices)
    return Memory(
        id=identity,
        created_at=memory.created_at + timedelta(seconds=offset),
        started_at=began,
        finished_at=ended if ended is None or began is None else max(ended, began),
        time_zero=zero,
        source=memory.source,
        language=memory.language,
        structured=_structured(memory, number, sides),
        transcript_segments=[shifted(item, -offset) for item in segments],
        geolocation=memory.geolocation,
        photos=memory.photos if first else [],
        plugins_results=memory.plugins_results if first else [],
        external_data=memory.external_data if first else None,
        emotional_feedback=memory.emotional_feedback,
        edits=edits,
        made_from=[memory.id],
    )


def _structured(memory: Memory, number: int, sides: _Sides) -> Structured:
    """Until a run has made its own: both parts are called as the whole was."""
    made = memory.structured
    return made.model_copy(
        update={
            "overview": made.overview if number == 0 else "",
            "sections": [],
            "template": None,
            "action_items": [item for item in made.action_items if sides.of_text(item.description) == number],
            "events": [event for event in made.events if sides.of_text(_text(event)) == number],
        }
    )


def _text(event: Event) -> str:
    return f"{event.title} {event.description}"


def _edits(
    memory: Memory,
    segments: Sequence[Segment],
    number: int,
    sides: _Sides,
    voices: Mapping[str, Mapping[str, Any]],
) -> UserEdits:
    edits, offset = memory.edits, sides.cut if number else 0.0
    ids, shown = {item.id for item in segments}, {item.speaker for item in segments}
    items: dict[str, int] = {}
    for change in carried(memory):  # all that was done to an item stays together
        if change.item_id is not None and change.item is not None:
            items.setdefault(change.item_id, sides.of_text(change.item.description))
    operations = [
        _operation(change, offset, ids)
        for change in carried(memory)
        if change.kind == "heal"
        or number == (sides.of_segment(change.segment_id, change.start) if change.kind == "text"
                      else items.get(str(change.item_id), 0))
    ]  # fmt: skip
    made = [item for item in rules.made_items(memory) if sides.of_text(item.description) == number]
    return UserEdits(
        title=edits.title if number == 0 else None,
        overview=edits.overview if number == 0 else None,
        category=edits.category,
        speakers={label: decision(said, -offset) for label, said in voices.items() if label in shown},
        segments={
            name: decision(said, -offset)
            for name, said in edits.segments.items()
            if sides.of_segment(name, said.get("start")) == number
        },
        events_created=edits.events_created,
        folder_id=edits.folder_id,
        tag_ids=edits.tag_ids,
        comments=edits.comments if number == 0 else [],  # they are of no moment
        template_id=edits.template_id,
        changes=operations,
        made_items=made if any(change.kind.startswith("item_") for change in operations) else None,
    )


def _operation(change: Change, offset: float, ids: set[str]) -> Change:
    if change.kind not in WORDS:
        return change
    places = {name: words for name, words in change.places.items() if name in ids}
    return shifted(change, -offset, places=places)
