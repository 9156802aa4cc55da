"""Making two voices of a memory one, and passages of one voice another: operations that later runs keep.

As with words each is kept beside the machine's transcript and can be taken back (``making.undo``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from memories.changes import making
from memories.pipeline.rules import changes as rules
from memories.pipeline.rules import voices
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Change, Memory
from omi.accounts.erased import Fence


class NoSuchVoice(LookupError):
    """The transcript that is shown has no voice of this label, or no such segment."""


class WholeVoice(Exception):
    """The segments are all that the voice says, or not of one voice: nothing would be parted."""


def merge(uid: str, memory_id: str, voice: str, into: str, *, fence: Fence) -> Memory:
    """Say that two voices are one person: the segments of ``voice`` are those of ``into`` from now on, with its name.

    Raises MemoryNotFound, NoSuchVoice, TooManyChanges and what ``fence`` raises.
    """

    def change(memory: Memory) -> dict[str, Any]:
        here, there = ([item for item in memory.transcript_segments if item.speaker == name] for name in (voice, into))
        if not here or not there or voice == into:
            raise NoSuchVoice(voice)
        made = Change(
            id=making.new_id(), kind="voice_merge", at=_now(), voice=voice, into=into, spans=voices.spans_of(here),
            into_spans=voices.spans_of(there),
        )  # fmt: skip
        return _laid(memory, made)

    return repository.mutate_memory(uid, memory_id, change, fence=fence)


def split(uid: str, memory_id: str, segment_ids: Sequence[str], *, fence: Fence) -> tuple[Memory, str]:
    """Say that these segments of one voice are another voice, which nobody is known of yet. The memory, and its label.

    Raises MemoryNotFound, NoSuchVoice, WholeVoice, TooManyChanges and what ``fence`` raises.
    """
    wanted, stored = set(segment_ids), transcripts.all_versions(uid, memory_id)
    known = {item.speaker for found in stored.values() for version in found for item in version.segments}
    label = ""

    def change(memory: Memory) -> dict[str, Any]:
        nonlocal label
        chosen = [item for item in memory.transcript_segments if item.id in wanted]
        if len(chosen) < len(wanted):
            raise NoSuchVoice(memory_id)
        of = {item.speaker for item in chosen}
        if len(of) != 1 or all(item.id in wanted for item in memory.transcript_segments if item.speaker in of):
            raise WholeVoice
        # Of no transcript that is kept: a name that is given to the new voice is nobody else's then.
        label = voices.free_label([*known, *_labels(memory)])
        made = Change(
            id=making.new_id(), kind="voice_split", at=_now(), voice=of.pop(), into=label, spans=voices.spans_of(chosen)
        )
        return _laid(memory, made)

    return repository.mutate_memory(uid, memory_id, change, fence=fence), label


def _labels(memory: Memory) -> set[str]:
    """Every label that the memory speaks of."""
    told = {item.speaker for item in (*memory.transcript_segments, *memory.heard())}
    return told | set(memory.edits.speakers) | {str(change.into) for change in memory.edits.changes if change.into}


def _laid(memory: Memory, made: Change) -> dict[str, Any]:
    """The transcript that is shown with one operation more. Raises TooManyChanges, also for too many segments."""
    shown, edits = rules.lay(memory.heard(), making.with_change(memory.edits, made))
    if any(change.id == made.id and change.orphaned for change in edits.changes):
        raise rules.TooManyChanges
    return {"transcript_segments": shown, "edits": edits}


def _now() -> datetime:
    return datetime.now(UTC)
