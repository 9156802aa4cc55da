"""Merging and splitting, step by step: prepare beside the originals, put in their place, clear up; and all of it back.

Whoever dies in between leaves either the originals or what took their place. A row says how far it came; every step may
be done twice. A worker does all this; the schedule sends again what got lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from memories.insights import figures as insights
from memories.passages import whole
from memories.pipeline import long_work, service, vector_writes
from memories.pipeline.engine import fault_injection
from memories.pipeline.engine.lease import lease_time
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State as RunState
from memories.privacy import erasure
from memories.privacy.erasure_parts import erase_vectors
from memories.recaps import reading as recaps
from memories.repository import memories as repository
from memories.repository import replacing
from memories.repository.large import Unreadable
from memories.reshaping import plans, records, stores
from memories.reshaping.models import Reshaping
from memories.shapes import Memory
from memories.user_events import log as events
from memories.vocabulary.models import HealedMemory, Healing
from omi.core.errors import ErrorKind, ProviderError
from omi.stores.audio import AudioNotFound
from omi.stores.documents.base import AlreadyExists, DocumentError, TooLarge
from omi.stores.vectors.base import InvalidVector

log = structlog.get_logger(__name__)
State = Reshaping.State

PATIENCE: Final = timedelta(hours=6)
"""How long is tried before it is given up, and nothing was changed."""
RUNS_AGAIN: Final = timedelta(seconds=20)
MOST_DELAY: Final = timedelta(minutes=10)
TRIES: Final = 5
"""How often the originals are read anew where somebody changes them meanwhile."""


class _Later(Exception):
    """Not now; ``delay`` says when."""

    def __init__(self, code: str, delay: timedelta) -> None:
        super().__init__(code)
        self.code, self.delay = code, delay


def work(identity: str) -> None:
    """Do what is due of a reshaping: a task of Django-Q2. Lost, doubled and late ones do no harm: two that work on
    one do the same twice."""
    now = timezone.now()
    mine = Reshaping.objects.filter(pk=identity, finished=False, next_at__lte=now)
    if not mine.update(next_at=now + lease_time(), tries=F("tries") + 1):
        return
    row = Reshaping.objects.prefetch_related("memories").get(pk=identity)
    try:
        with long_work.kept(f"reshaping {row.pk}", partial(_renew, row.pk)):
            if row.state == State.UNDOING:
                _take_back(row)
            else:
                _make(row)
    except _Later as later:
        _postpone(row, later.code, later.delay)
    except plans.NotPossible as error:
        _give_up(row, error.code)
    except (TooLarge, Unreadable):
        _give_up(row, "too_large")
    except AlreadyExists:  # the account was erased meanwhile
        _give_up(row, "gone")
    except (ProviderError, DocumentError, InvalidVector, AudioNotFound) as error:
        permanent = isinstance(error, ProviderError) and error.kind is ErrorKind.PERMANENT
        _postpone(row, "permanent" if permanent else "store", _delay(row))


def _renew(identity: str) -> None:
    Reshaping.objects.filter(pk=identity, finished=False).update(next_at=timezone.now() + lease_time())


def due(limit: int = 100) -> int:
    """Work on what no worker has come to, oldest first; how many."""
    waiting = Reshaping.objects.filter(finished=False, next_at__lte=timezone.now())
    found = list(waiting.order_by("next_at").values_list("pk", flat=True)[:limit])
    for identity in found:
        work(identity)
    return len(found)


def expire(limit: int = 100) -> int:
    """Erase the originals whose time to come back is over; how many."""
    before = timezone.now() - records.UNDO_FOR
    old = Reshaping.objects.filter(state=State.DONE, finished=True, done_at__lte=before).order_by("done_at")
    gone = 0
    for row in list(old.prefetch_related("memories")[:limit]):
        try:
            for memory_id in records.originals(row):
                gone += _erased(row.uid, memory_id)
        except (ProviderError, DocumentError) as error:
            log.warning("originals_not_erased", reshaping=row.pk, error=type(error).__name__)
            continue
        row.delete()
    return gone


def _erased(uid: str, memory_id: str) -> bool:
    there = repository.glance(uid, memory_id)
    if there is None or not there.deleted:
        return False
    erasure.erase_memory(uid, memory_id, now=True)
    return True


def _make(row: Reshaping) -> None:
    old, new = records.originals(row), records.made(row)
    if row.state == State.MAKING and not replacing.replaced(row.uid, old, new):
        _replace(row, old)
    elif row.state == State.MAKING:
        _mark_done(row, row.recording)
    fault_injection.point("reshaping-replaced")
    _after(row, old, new)


def _replace(row: Reshaping, old: Sequence[str]) -> None:
    """Prepare everything, then put the new memories in the place of the old ones in one transaction."""
    if _worked_on(row.uid, old):
        raise _Later("waiting", RUNS_AGAIN)
    for _ in range(TRIES):
        memories = _alive(row.uid, old)
        plan = plans.plan_for(row, memories)
        made, recording = stores.prepare(row.uid, plan, fence=partial(_still, row, State.MAKING))
        fault_injection.point("reshaping-prepared")
        try:
            replacing.replace(
                row.uid, memories, made, goes_at=timezone.now() + records.UNDO_FOR,
                beside=stores.documents_beside(row.uid, plan), fence=partial(_still, row, State.MAKING),
                then=partial(_mark_done, row, recording),
            )  # fmt: skip
        except replacing.Changed:
            continue
        return
    raise _Later("waiting", RUNS_AGAIN)


def _alive(uid: str, memory_ids: Sequence[str]) -> list[Memory]:
    try:
        return [repository.get_memory(uid, memory_id) for memory_id in memory_ids]
    except repository.MemoryNotFound as error:
        raise plans.NotPossible("gone") from error


def _left(uid: str, memory_ids: Sequence[str]) -> list[Memory]:
    """Those that are not erased, hidden or not."""
    return [memory for name in memory_ids if (memory := repository.find_memory(uid, name)) is not None]


def _worked_on(uid: str, memory_ids: Sequence[str]) -> bool:
    """Whether a run may still publish into one of them."""
    runs = PostProcessingRun.objects.filter(uid=uid, memory_id__in=memory_ids)
    return runs.exclude(state=RunState.FINISHED).exists()


def _still(row: Reshaping, state: str) -> None:
    """Raise AlreadyExists where the reshaping is not (or no longer) at this: its account was erased."""
    if not Reshaping.objects.select_for_update().filter(pk=row.pk, state=state).exists():
        raise AlreadyExists("the reshaping has ended")


def _mark_done(row: Reshaping, recording: str) -> None:
    Reshaping.objects.filter(pk=row.pk, state=State.MAKING).update(
        state=State.DONE, recording=recording, done_at=timezone.now(), code=""
    )
    row.refresh_from_db(fields=["state", "recording", "done_at", "code"])


def _after(row: Reshaping, old: Sequence[str], new: Sequence[str]) -> None:
    """What follows once the new memories are shown: the originals leave search, recaps and insights, a run makes the
    summary, and the app hears of it."""
    replacing.record(row.uid, [*old, *new])
    for memory_id in old:
        service.cancel_for_memory(row.uid, memory_id)
        erase_vectors(row.uid, memory_id)
        fault_injection.point("reshaping-vectors")
        recaps.forget_memory(row.uid, memory_id)
        insights.forget_memory(row.uid, memory_id)
    _heal_on(row, new)
    hidden = _left(row.uid, old)
    if len(hidden) == len(old):
        stores.move_voices(row.uid, plans.moves_of(row, hidden))
    fault_injection.point("reshaping-cleared")
    with transaction.atomic():
        _tell(row, old, new)
        for memory_id in new:
            payload = {"memory_id": memory_id, "processing_memory_id": None}
            events.append(row.uid, events.MEMORY_CREATED, payload, dedupe_key=f"created:{memory_id}")
            service.start(
                "reprocess", row.uid, memory_id, actor="system", reason=f"{row.kind} of memories",
                options={"force": True}, idempotency_key=f"reshaped:{memory_id}",
            )  # fmt: skip
        _finish(row, State.DONE)


def _heal_on(row: Reshaping, new: Sequence[str]) -> None:
    """A healing that is taken back later is taken back in the new memories, too."""
    for memory in repository.get_memories(row.uid, new).values():
        ids = {change.healing for change in memory.edits.changes if change.healing}
        for healing in Healing.objects.filter(uid=row.uid, pk__in=ids, undone_at=None):
            HealedMemory.objects.get_or_create(healing=healing, memory_id=memory.id)


def _tell(row: Reshaping, gone: Sequence[str], shown: Sequence[str]) -> None:
    for memory_id in gone:
        payload = {"memory_id": memory_id, "replaced_by": list(shown), "reshaping_id": row.pk}
        key = f"replaced:{row.pk}:{memory_id}"
        events.append(row.uid, events.MEMORY_REPLACED, payload, dedupe_key=key)


def _take_back(row: Reshaping) -> None:
    """Show the originals again as they were, and erase what had taken their place."""
    old = records.originals(row)
    memories = _left(row.uid, old)
    if len(memories) < len(old):
        raise plans.NotPossible("too_late")
    # The row has forgotten what the user erased for good since; the originals still say behind what they are hidden.
    new = next((memory.replaced_by for memory in memories if memory.replaced_by), records.made(row))
    whole.write(row.uid, memories)  # nobody finds them before the documents are there
    fault_injection.point("reshaping-back-prepared")
    try:
        replacing.bring_back(row.uid, old, new)
    except replacing.Changed as error:
        raise plans.NotPossible("changed_again") from error
    except repository.MemoryNotFound as error:
        raise plans.NotPossible("too_late") from error
    fault_injection.point("reshaping-back")
    replacing.record(row.uid, old)
    stores.move_voices(row.uid, plans.moves_of(row, memories), back=True)
    with transaction.atomic():
        _tell(row, [name for name in new if repository.glance(row.uid, name) is not None], old)
        for memory_id in old:
            payload = {"memory_id": memory_id, "processing_memory_id": None, "run_id": None}
            events.append(row.uid, events.MEMORY_UPDATED, payload, dedupe_key=f"back:{row.pk}:{memory_id}")
    for memory_id in new:
        _erased(row.uid, memory_id)
        fault_injection.point("reshaping-back-erased")
    _finish(row, State.UNDONE)


def _finish(row: Reshaping, state: str, code: str = "") -> None:
    """Only from the state in which this worker knows it: the user may have asked for something else since."""
    Reshaping.objects.filter(pk=row.pk, state=row.state).update(state=state, code=code, finished=True)


def _postpone(row: Reshaping, code: str, delay: timedelta) -> None:
    """Try again later. What is not shown yet is given up after ``PATIENCE``; what is shown is always brought to its
    end."""
    now = timezone.now()
    if row.state == State.MAKING and now - row.created_at > PATIENCE:
        _give_up(row, "busy" if code == "waiting" else "error")
        return
    log.info("reshaping_waits", reshaping=row.pk, code=code)
    Reshaping.objects.filter(pk=row.pk, finished=False).update(code=code, next_at=now + delay)


def _delay(row: Reshaping) -> timedelta:
    return min(timedelta(seconds=5 * 2 ** min(row.tries, 10)), MOST_DELAY)


def _give_up(row: Reshaping, code: str) -> None:
    """End without any change: what was prepared goes. Of an undoing: what took the originals' place stays."""
    old, new = records.originals(row), records.made(row)
    try:
        if row.state == State.UNDOING:
            for memory_id in old:
                if vector_writes.gone(row.uid, memory_id):
                    erase_vectors(row.uid, memory_id)
        elif _is_shown(row, old, new):
            return  # by another worker: what was prepared is shown, and is brought to its end by whoever comes next
        else:
            stores.discard(row.uid, new)
    except (ProviderError, DocumentError) as error:
        log.warning("prepared_not_removed", reshaping=row.pk, error=type(error).__name__)
        Reshaping.objects.filter(pk=row.pk, finished=False).update(next_at=timezone.now() + MOST_DELAY)
        return
    _finish(row, State.DONE if row.state == State.UNDOING else State.FAILED, code)


def _is_shown(row: Reshaping, old: Sequence[str], new: Sequence[str]) -> bool:
    """Whether the new memories have taken the old ones' place, as the row or, where it is behind, the documents say."""
    there = Reshaping.objects.filter(pk=row.pk, state__in=(State.DONE, State.UNDOING)).exists()
    return there or replacing.replaced(row.uid, old, new)
