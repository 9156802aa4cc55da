"""A batch as its user sees it: the state of each file, and what became of each conversation."""

from __future__ import annotations

from dataclasses import dataclass

from memories.mirror.models import MemoryRow
from memories.offline import batches
from memories.offline.models import SyncBatch, SyncConversation, SyncFile
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.service import UNFINISHED


@dataclass(frozen=True, slots=True)
class Shown:
    """``memories``: ids by the number of the file that became a part of them. ``states``: by memory id."""

    files: list[SyncFile]
    conversations: list[SyncConversation]
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


def whole(batch: SyncBatch) -> Shown:
    """All that is shown of a batch, in four queries."""
    conversations = list(batch.conversations.order_by("number"))
    names = [item.memory_id for item in conversations]
    made = set(MemoryRow.objects.filter(uid=batch.uid, memory_id__in=names).values_list("memory_id", flat=True))
    runs = PostProcessingRun.objects.filter(uid=batch.uid, memory_id__in=names)
    asked = set(runs.values_list("memory_id", flat=True))
    working = set(runs.filter(state__in=UNFINISHED).values_list("memory_id", flat=True))
    states = {
        item.memory_id: (
            "waiting" if not item.asked
            else "making" if item.memory_id in working
            else "made" if item.memory_id in made
            else "none" if item.memory_id in asked
            else "goes_on"
        )
        for item in conversations
    }  # fmt: skip
    memories: dict[int, list[str]] = {}
    for item in conversations:
        for number in dict.fromkeys(part["file"] for part in item.parts):
            memories.setdefault(number, []).append(item.memory_id)
    return Shown(list(batch.files.order_by("number")), conversations, memories, states)
