"""What a reshaping will make of which memories, and which moments of theirs lie where afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext_noop

from emotions.base import EmotionTimeline
from memories.capture import continuing
from memories.document_parts import too_many
from memories.offline import reading as offline
from memories.pipeline.rules import changes as rules
from memories.pipeline.rules import user_edits
from memories.posted_memory import MAX_GIVEN_SEGMENTS
from memories.repository import emotions as emotions_repository
from memories.repository import processing, transcripts
from memories.repository.large import Unreadable
from memories.reshaping import merging, records, splitting
from memories.reshaping.models import Reshaping
from memories.reshaping.recordings import Piece
from memories.reshaping.shifting import shifted
from memories.shapes import Memory
from omi.core import clock
from transcription.segments import end_of

MOST_MEMORIES: Final = 20
"""Memories that become one."""
LONGEST: Final = timedelta(hours=24)
"""From the first word of a merged memory to its last."""
MOST_PHOTO_BYTES: Final = 4_000_000
"""Photos of a merged memory: they are written in one transaction with it."""

REASONS: Final[dict[str, str]] = {
    "gone": gettext_noop("One of these memories is not there any more."),
    "going_on": gettext_noop("One of these conversations is still going on. Please try again when it has ended."),
    "busy": gettext_noop("These memories were worked on for hours. Please try again later."),
    "too_long": gettext_noop("Together they are longer than one memory may be: 24 hours and 20,000 passages."),
    "too_many_changes": gettext_noop("Together they hold more of your changes than one memory may: 200."),
    "too_large": gettext_noop("Together they are larger than one memory may be."),
    "too_late": gettext_noop("The time in which this could be undone is over."),
    "not_done": gettext_noop("There is nothing to be undone."),
    "changed_again": gettext_noop("What was made of them was deleted, merged or split since; undo that first."),
    "empty_part": gettext_noop("Each of the two memories must have words."),
    "no_segment": gettext_noop("This passage is not there any more."),
    "error": gettext_noop("This did not work. Nothing was changed, and you can try again."),
}
"""Why something cannot be done, by its code: a sentence for people."""


class NotPossible(Exception):
    """The memories cannot be merged or split (409). ``code``: a key of ``REASONS``."""

    def __init__(self, code: str) -> None:
        super().__init__(REASONS[code])
        self.code = code


@dataclass(frozen=True, slots=True)
class Move:
    """What lies in ``source`` at a second lies in ``target`` ``offset`` seconds later. ``ids``: its segments there."""

    source: str
    target: str
    offset: float
    ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a merge or a split will make. ``pieces``: the recording of each new memory; ``timelines``: the emotions in
    it; both by its id."""

    made: list[Memory]
    pieces: Mapping[str, Sequence[Piece]]
    timelines: Mapping[str, EmotionTimeline] = field(default_factory=dict)


def plan_for(row: Reshaping, memories: Sequence[Memory]) -> Plan:
    """What takes the place of these memories. Raises NotPossible."""
    check(row.uid, memories)
    new = records.made(row)
    manual = {memory.id: _manual(row.uid, memory) for memory in memories}
    timelines = {memory.id: emotions_repository.load_emotions(row.uid, memory.id) for memory in memories}
    if row.kind == Reshaping.Kind.MERGE:
        return _merge(memories, new[0], manual, timelines)
    return _split(memories[0], row.segment_id, new, manual, timelines)


def check(uid: str, memories: Sequence[Memory]) -> None:
    """Make sure that these can be one memory and that nobody still speaks in one of them; raises NotPossible."""
    for memory in memories:
        if memory.processing_memory_id and _going_on(uid, memory.processing_memory_id):
            raise NotPossible("going_on")
        if offline.will_join(uid, memory.id):
            raise NotPossible("going_on")
    zeros = [merging.zero_of(memory) for memory in memories]
    until = max(
        zero + timedelta(seconds=end_of(item.transcript_segments)) for zero, item in zip(zeros, memories, strict=True)
    )
    count = sum(len(memory.transcript_segments) for memory in memories)
    if len(memories) > 1 and (until - min(zeros) > LONGEST or count > MAX_GIVEN_SEGMENTS):
        raise NotPossible("too_long")
    if sum(len(photo.base64) + len(photo.description) for item in memories for photo in item.photos) > MOST_PHOTO_BYTES:
        raise NotPossible("too_large")
    if too_many([note for memory in memories for note in memory.edits.comments]):
        raise NotPossible("too_large")


def _going_on(uid: str, processing_id: str) -> bool:
    """Whether a device may still go on with the conversation: more words would come to a memory that is hidden."""
    try:
        found = processing.get(uid, processing_id)
    except (processing.ProcessingMemoryNotFound, Unreadable):
        return False
    return not found.ended and clock.time() <= continuing.last_heard(found) + settings.OMI_GAP_SECONDS


def _manual(uid: str, memory: Memory) -> dict[str, dict[str, Any]]:
    """What the user said of the shown segments, in whatever transcript they said it."""
    if not memory.edits.speakers and not memory.edits.segments:
        return {}
    versions = transcripts.all_versions(uid, memory.id, memory=memory)
    kept = {name: transcripts.preferred(found) for name, found in versions.items()}
    known = transcripts.named_segments(uid, memory.id, kept, memory.edits)
    return user_edits.manual_labels(
        memory.transcript_segments, memory.edits, model=memory.active_transcript, version=memory.active_version,
        known={**known, memory.active_transcript: memory.heard()},
    )  # fmt: skip


def moves_of(row: Reshaping, memories: Sequence[Memory]) -> list[Move]:
    """Return where the originals' moments lie in what took their place. ``memories``: the originals, hidden or not."""
    new = records.made(row)
    if row.kind == Reshaping.Kind.MERGE:
        return _merge_moves(merging.placed(memories, new[0]), new[0]) if new else []
    cut = splitting.cut_at(memories[0], row.segment_id)
    return _split_moves(memories[0], row.segment_id, new, cut) if cut is not None and len(new) == 2 else []


def _merge_moves(parts: Sequence[merging.Placed], target: str) -> list[Move]:
    return [Move(part.memory.id, target, part.offset, part.ids) for part in parts]


def _split_moves(memory: Memory, segment_id: str, new: Sequence[str], cut: float) -> list[Move]:
    halves = splitting.halves(memory, segment_id)
    return [
        Move(memory.id, target, -offset, {item.id: item.id for item in half})
        for target, half, offset in zip(new, halves, (0.0, cut), strict=True)
    ]


Timelines = Mapping[str, EmotionTimeline | None]
Manual = Mapping[str, Mapping[str, Mapping[str, Any]]]


def _merge(memories: Sequence[Memory], target: str, manual: Manual, timelines: Timelines) -> Plan:
    parts = merging.placed(memories, target, manual)
    try:
        made = merging.merged(parts, target)
    except rules.TooManyChanges as error:
        raise NotPossible("too_many_changes") from error
    pieces = [Piece(part.memory.id, at=part.offset) for part in parts]
    joined = [(timelines[part.memory.id], part.offset) for part in parts]
    told = _joined([(timeline, offset) for timeline, offset in joined if timeline is not None])
    return Plan([made], {target: pieces}, {target: told} if told else {})


def _joined(found: Sequence[tuple[EmotionTimeline, float]]) -> EmotionTimeline | None:
    """One timeline of several; None where they were measured by different models, whose numbers do not compare."""
    if not found or len({(timeline.vendor, timeline.model) for timeline, _ in found}) > 1:
        return None
    spans = [shifted(span, offset) for timeline, offset in found for span in timeline.spans]
    return found[0][0].model_copy(update={"spans": sorted(spans, key=lambda span: (span.start, span.end))})


def _split(memory: Memory, segment_id: str, new: Sequence[str], manual: Manual, timelines: Timelines) -> Plan:
    if all(item.id != segment_id for item in memory.transcript_segments):
        raise NotPossible("no_segment")
    cut = splitting.cut_at(memory, segment_id)
    if cut is None:
        raise NotPossible("empty_part")
    made = splitting.split(memory, segment_id, new, manual[memory.id])
    pieces = {new[0]: [Piece(memory.id, seconds=cut)], new[1]: [Piece(memory.id, start=cut)]}
    timeline, told = timelines[memory.id], {}
    if timeline is not None:
        for number, (part, offset) in enumerate(zip(made, (0.0, cut), strict=True)):
            spans = [shifted(span, -offset) for span in timeline.spans if (span.start >= cut) == bool(number)]
            told[part.id] = timeline.model_copy(update={"spans": spans})
    return Plan(made, pieces, told)
