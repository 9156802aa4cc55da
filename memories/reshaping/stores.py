"""What a merged or split memory has beside its document: vectors, passages, the recording, voices learned from it."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from memories.passages import indexing, whole
from memories.pipeline.engine import fault_injection
from memories.privacy.erasure_parts import erase_vectors
from memories.repository import emotions, stored
from memories.reshaping import recordings
from memories.reshaping.plans import Move, Plan
from memories.shapes import Memory
from memories.vocabulary import healings
from omi.accounts.erased import Fence
from omi.stores import audio
from omi.stores.models import AudioObject
from speakers.models import VoiceSample


def prepare(uid: str, plan: Plan, *, fence: Fence) -> tuple[list[Memory], str]:
    """Write all that lies beside the documents of the new memories, which nobody sees before these are there.

    The memories with their recordings, and what became of the recording. Everything may be repeated. Raises
    ProviderError, InvalidVector, and what ``fence`` raises.
    """
    made, reasons = [], []
    for memory in plan.made:
        name, why = recordings.make(uid, memory.id, plan.pieces[memory.id], fence=fence)
        made.append(memory.model_copy(update={"recording": name}))
        reasons.append(why)
        fault_injection.point("reshaping-recorded")
    for memory in made:
        whole.write(uid, [memory])
        fault_injection.point("reshaping-embedded")
        indexing.prepare(uid, memory)
        healings.follow(uid, memory)
    return made, next((why for why in reasons if why != recordings.KEPT), recordings.KEPT)


def documents_beside(uid: str, plan: Plan) -> dict[str, list[stored.Packed]]:
    """The emotion timelines of the new memories, as documents, by the memory's id."""
    return {
        memory_id: [stored.packed(*emotions.document_of(uid, memory_id, timeline))]
        for memory_id, timeline in plan.timelines.items()
    }


def discard(uid: str, memory_ids: Sequence[str]) -> None:
    """Take away what was prepared for memories that were never shown. Raises ProviderError."""
    for memory_id in memory_ids:
        erase_vectors(uid, memory_id)
        indexing.forget_memory(uid, memory_id)
        audio.forget_memory(uid, memory_id)
        healings.forget_memory(uid, memory_id)


def move_voices(uid: str, moves: Sequence[Move], *, back: bool = False) -> None:
    """Have voice samples come from where their words are shown now: un-naming these withdraws them, and they outlive
    the originals. Repeatable."""
    if back:
        moves = [Move(move.target, move.source, -move.offset, {new: old for old, new in move.ids.items()})
                 for move in moves]  # fmt: skip
    for source in sorted({move.source for move in moves}):
        mine = sorted((move for move in moves if move.source == source), key=lambda move: -move.offset)
        for sample in VoiceSample.objects.filter(uid=uid, memory_id=source):
            move = _move_of(sample, mine)
            sample.memory_id, sample.segment_index = move.target, None
            sample.segment_id = move.ids.get(sample.segment_id, sample.segment_id)
            if sample.start is not None and sample.end is not None:
                sample.start, sample.end = sample.start + move.offset, sample.end + move.offset
            with transaction.atomic():
                AudioObject.objects.filter(uid=uid, name=sample.audio).update(memory_id=move.target)
                sample.save(update_fields=["memory_id", "segment_id", "segment_index", "start", "end"])


def _move_of(sample: VoiceSample, moves: Sequence[Move]) -> Move:
    """Where the sample's segment went; of one that is not shown, the part that its time lies in. ``moves``: of one
    memory, in order of the moments from which on they hold."""
    found = [move for move in moves if sample.segment_id in move.ids]
    found = found or [move for move in moves if -move.offset <= (sample.start or 0.0)][-1:]
    return (found or moves)[0]
