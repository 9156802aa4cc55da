"""A batch as its user sees it: the state of each file, and what became of each conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Prefetch, prefetch_related_objects

from memories.mirror.models import MemoryRow
from memories.offline import batches
from memories.offline.models import SyncBatch, SyncConversation, SyncFile
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.service import UNFINISHED


@dataclass(frozen=True, slots=True)
class Shown:
    """A batch as the API shows it. ``batch`` has its files and conversations with it. ``memories``: ids by the number
    of the file that became a part of them. ``states``: by memory id."""

    batch: SyncBatch
    memories: dict[int, list[str]]
    states: dict[str, str]


def page(uid: str, *, before: str | None, limit: int) -> list[SyncBatch]:
    """Batches, newest first, behind the batch ``before``. Raises BatchNotFound."""
    found = batches.of_user(uid)
    if before is not None:
        last = batches.get(uid, before)
        older = found.filter(created_at__lt=last.created_at)
        same = found.filter(created_at=last.created_at, pk__gt=last.pk)
        found = (older | same).order_by("-created_at", "id")
    return list(found[:limit])


def shown(found: Sequence[SyncBatch]) -> list[Shown]:
    """Return all that is shown of a user's batches, in four queries however many they are."""
    if not found:
        return []
    prefetch_related_objects(
        found,
        Prefetch("files", SyncFile.objects.order_by("number")),
        Prefetch("conversations", SyncConversation.objects.order_by("number")),
    )
    named = SyncConversation.objects.filter(batch__in=found).values("memory_id")
    rows = MemoryRow.objects.filter(uid=found[0].uid, memory_id__in=named)
    runs = PostProcessingRun.objects.filter(uid=found[0].uid, memory_id__in=named)
    made = set(rows.values_list("memory_id", flat=True))
    asked = list(runs.values_list("memory_id", "state"))
    done = {memory_id for memory_id, _ in asked}
    working = {memory_id for memory_id, state in asked if state in UNFINISHED}

    def state_of(item: SyncConversation) -> str:
        if not item.asked:
            return "waiting"
        if item.memory_id in working:
            return "making"
        if item.memory_id in made:
            return "made"
        return "none" if item.memory_id in done else "goes_on"

    return [
        Shown(batch, _memories(batch), {item.memory_id: state_of(item) for item in batch.conversations.all()})
        for batch in found
    ]


def _memories(batch: SyncBatch) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for item in batch.conversations.all():
        for number in dict.fromkeys(part["file"] for part in item.parts):
            found.setdefault(number, []).append(item.memory_id)
    return found


def will_join(uid: str, memory_id: str) -> bool:
    """Whether words of a batch that is being worked on were placed in this memory and are not in it yet."""
    placed = SyncConversation.objects.filter(batch__uid=uid, memory_id=memory_id, asked=False)
    return placed.filter(batch__state=SyncBatch.State.QUEUED).exists()
