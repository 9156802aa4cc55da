"""Keeping the figures in step with the memories, in a worker; and whose voice may be counted at all."""

from __future__ import annotations

import contextlib
from typing import Any

import structlog
from django.core.cache import cache
from django.db import transaction
from django.db.models import Exists, OuterRef
from django_q.tasks import async_task

from memories.insights import counting
from memories.insights.models import SpokenFigures
from memories.mirror.models import MemoryRow
from memories.passages.models import IndexedMemory
from memories.repository import emotions as emotions_repository
from memories.repository import memories as repository
from omi.core.errors import ProviderError
from omi.stores.documents.base import DocumentError
from speakers import people
from speakers.models import VoiceConsent

log = structlog.get_logger(__name__)


def permitted(uid: str) -> dict[str, str]:
    """Return the voices that are counted, with their names: of people whom the user named and for whom a consent to
    keep the voice holds; the user's own ("") unless they withdrew theirs."""
    held: dict[str, bool] = {}
    for voice, withdrawn in VoiceConsent.objects.filter(uid=uid).values_list("person_id", "withdrawn_at"):
        held[voice] = held.get(voice, False) or withdrawn is None
    named = {person: name for person, name in people.names(uid).items() if held.get(person)}
    return {**({"": ""} if held.get("", True) else {}), **named}


def have_a_worker_count(uid: str) -> None:
    """Have a worker count where memories of a user wait to be counted: at once, and once a minute at most."""
    with contextlib.suppress(Exception):  # a cache or a queue that is away: the schedule comes by anyhow
        waiting = IndexedMemory.objects.filter(uid=uid, insights_due=True).exists()
        if waiting and cache.add(f"count-insights-{uid}", 1, 60):
            async_task("memories.upkeep.insights")


def refresh_due(limit: int) -> int:
    """Count memories that changed, and drop voices whose consent was withdrawn. How many memories were looked at.

    Raises, at its end, where not one of them could be counted: then it is no fault of a single memory.
    """
    _drop_withdrawn()
    rows = list(IndexedMemory.objects.filter(insights_due=True).order_by("uid", "-created_at")[:limit])
    voices: dict[str, dict[str, str]] = {}
    failures: list[ProviderError | DocumentError] = []
    for row in rows:
        try:
            if row.uid not in voices:
                voices[row.uid] = permitted(row.uid)
            _refresh(row, set(voices[row.uid]))
        except (ProviderError, DocumentError) as error:
            log.warning("insights_not_counted", uid=row.uid, memory_id=row.memory_id, error=type(error).__name__)
            failures.append(error)
    if failures and len(failures) == len(rows):
        raise failures[-1]
    return len(rows)


def _refresh(row: IndexedMemory, voices: set[str]) -> None:
    memory = repository.get_memories(row.uid, [row.memory_id]).get(row.memory_id)
    made = []
    if memory is not None and not memory.discarded:
        counted = counting.count(memory.transcript_segments, emotions_repository.load_emotions(row.uid, row.memory_id))
        made = [
            SpokenFigures(
                uid=row.uid, memory_id=memory.id, voice=voice, created_at=memory.created_at,
                category=memory.structured.category.value, seconds=round(item.seconds, 2), words=item.words,
                distinct=len(set(item.first)), turns=item.turns, interruptions=item.interruptions,
                questions=item.questions,
                emotions=dict(sorted(item.emotions.items(), key=lambda one: -one[1])[: counting.MOST_EMOTIONS]),
            )
            for voice, item in counted.items() if voice in voices
        ]  # fmt: skip
    with transaction.atomic():
        # Whoever deletes the memory now waits, and finds here what is to be erased.
        rows = MemoryRow.objects.select_for_update().filter(uid=row.uid, memory_id=row.memory_id, deleted=False)
        there = rows.first()
        SpokenFigures.objects.filter(uid=row.uid, memory_id=row.memory_id).delete()
        if there is not None:
            SpokenFigures.objects.bulk_create(made)
        IndexedMemory.objects.filter(pk=row.pk, revision=row.revision, next_at=row.next_at).update(insights_due=False)


def _drop_withdrawn() -> None:
    mine = VoiceConsent.objects.filter(uid=OuterRef("uid"), person_id=OuterRef("voice"))
    withdrawn, held = mine.filter(withdrawn_at__isnull=False), mine.filter(withdrawn_at=None)
    uids = VoiceConsent.objects.filter(withdrawn_at__isnull=False).values("uid")
    SpokenFigures.objects.filter(Exists(withdrawn), ~Exists(held), uid__in=uids).delete()


def on_person_changed(*, uid: str, person: Any, **_: Any) -> None:
    """Receiver of ``speakers.signals.person_changed``: a deleted person's figures go at once."""
    if person.deleted:
        SpokenFigures.objects.filter(uid=uid, voice=person.id).delete()


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase a memory's figures."""
    return int(SpokenFigures.objects.filter(uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    """Erase a user's figures."""
    return int(SpokenFigures.objects.filter(uid=uid).delete()[0])


def remaining(uid: str) -> int:
    """Rows of this user that are still here."""
    return SpokenFigures.objects.filter(uid=uid).count()
