"""What a user asks for: merge these memories, split this one, take that back. A worker does it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from django.db import transaction
from django.utils import timezone

from memories.pipeline import budgets
from memories.pipeline.engine import queue
from memories.repository import memories as repository
from memories.reshaping import plans, records, splitting
from memories.reshaping.models import ReshapedMemory, Reshaping
from memories.reshaping.plans import NotPossible
from memories.shapes import Memory
from omi.accounts.erased import Fence

State = Reshaping.State
WORK: Final = "memories.reshaping.working.work"


def merge(uid: str, memory_ids: Sequence[str], *, fence: Fence) -> Reshaping:
    """Have these memories (2 to ``plans.MOST_MEMORIES``, each once) become one, in the order of their times.

    The same set again gives the same reshaping, whatever its order; one that failed is tried again. Raises
    MemoryNotFound, NotPossible, records.TooMany, records.UnderWay, BudgetSpent.
    """
    known = records.same(uid, Reshaping.Kind.MERGE, memory_ids)
    if known is not None:
        return known
    found = repository.get_memories(uid, memory_ids)
    if len(found) < len(memory_ids):
        raise repository.MemoryNotFound("Memory not found")
    return _begin(uid, Reshaping.Kind.MERGE, [found[name] for name in memory_ids], "", fence)


def split(uid: str, memory_id: str, segment_id: str, *, fence: Fence) -> Reshaping:
    """Have a memory become two, of which the second begins with this segment. The same again gives the same.

    Raises MemoryNotFound, NotPossible, records.TooMany, records.UnderWay, BudgetSpent.
    """
    known = records.same(uid, Reshaping.Kind.SPLIT, [memory_id], segment_id)
    if known is not None:
        return known
    memory = repository.get_memory(uid, memory_id)
    if all(item.id != segment_id for item in memory.transcript_segments):
        raise NotPossible("no_segment")
    if splitting.cut_at(memory, segment_id) is None:
        raise NotPossible("empty_part")
    return _begin(uid, Reshaping.Kind.SPLIT, [memory], segment_id, fence)


def _begin(uid: str, kind: str, memories: Sequence[Memory], segment_id: str, fence: Fence) -> Reshaping:
    plans.check(uid, memories)

    def allowed() -> None:  # together with the row: what is refused for another reason costs nothing
        fence()
        budgets.spend(uid, runs=2 if kind == Reshaping.Kind.SPLIT else 1)

    row = records.begin(uid, kind, [memory.id for memory in memories], segment_id=segment_id, fence=allowed)
    queue.send_on_commit(WORK, row.pk)
    return row


def undo(uid: str, identity: str, *, fence: Fence) -> Reshaping:
    """Have the originals come back exactly as they were; what took their place goes. Again it changes nothing.

    Raises records.NotFound, records.UnderWay, NotPossible (its time is over, or what was made is not there as it was).
    """
    row = records.find(uid, identity)
    if row.state in (State.UNDOING, State.UNDONE):
        return row
    if row.state != State.DONE:
        raise NotPossible("not_done")
    if not row.finished:
        raise records.UnderWay
    if records.undo_until(row) is None:
        raise NotPossible("too_late")
    new = records.made(row)
    found = [repository.glance(uid, memory_id) for memory_id in new]
    if any(there is None or there.deleted for there in found) or _reshaped_again(uid, new):
        raise NotPossible("changed_again")
    with transaction.atomic():
        fence()
        now = timezone.now()
        mine = Reshaping.objects.filter(pk=row.pk, state=State.DONE)
        mine.update(state=State.UNDOING, finished=False, tries=0, next_at=now, code="")
        transaction.on_commit(partial(queue.send, WORK, row.pk))
    row.refresh_from_db()
    return row


def _reshaped_again(uid: str, memory_ids: Sequence[str]) -> bool:
    """Whether what was made is an original of another reshaping that holds."""
    mine = ReshapedMemory.objects.filter(uid=uid, memory_id__in=memory_ids, made=False)
    return mine.filter(reshaping__state__in=records.HOLDING).exists()
