"""What an erasure and an export have to know of healings. They are made by ``memories.changes.healing``."""

from __future__ import annotations

from typing import Any

from memories.shapes import Memory
from memories.vocabulary.models import HealedMemory, Healing


def follow(uid: str, memory: Memory) -> None:
    """A memory that was made of others takes their healings over: taken back, they are there, too. Repeatable."""
    named = {change.healing for change in memory.edits.changes if change.healing and change.undone_at is None}
    for healing in Healing.objects.filter(uid=uid, pk__in=named):
        HealedMemory.objects.get_or_create(healing=healing, memory_id=memory.id)


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase that a memory was healed; the operation goes with its document."""
    for healing in Healing.objects.filter(uid=uid).exclude(left_out=[]):
        if memory_id in healing.left_out:
            healing.left_out = [name for name in healing.left_out if name != memory_id]
            healing.save(update_fields=["left_out"])
    return int(HealedMemory.objects.filter(healing__uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    """Erase a user's healings."""
    return int(Healing.objects.filter(uid=uid).delete()[0])


def remaining(uid: str) -> int:
    """Healings of a user that are here."""
    return Healing.objects.filter(uid=uid).count()


def exported(uid: str) -> list[dict[str, Any]]:
    """A user's healings for the export."""
    return [
        {
            "id": healing.pk, "heard": healing.heard, "term": healing.term, "created_at": healing.created_at,
            "undone_at": healing.undone_at,
            "memory_ids": list(healing.memories.order_by("pk").values_list("memory_id", flat=True)),
        }
        for healing in Healing.objects.filter(uid=uid).order_by("created_at")
    ]  # fmt: skip
