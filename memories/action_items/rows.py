"""Keeping the rows of action items true to their memories. The word index, which reads every memory that changed,
calls this; a discarded memory has none."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from memories.action_items.models import ActionItemRow
from memories.pipeline.rules import changes
from memories.shapes import ActionItem, Memory
from memories.user_events import log as events

MOST_PER_MEMORY: Final = 400
TOLD_FOR: Final = timedelta(days=7)
"""How old a memory may be whose action items are told as new: indexing old ones anew tells of nothing."""


def of_memory(uid: str, memory: Memory) -> list[ActionItemRow]:
    """The rows that a memory should have: made before a transaction begins."""
    found = [] if memory.discarded else changes.items(changes.made_items(memory), memory.edits)
    return [
        ActionItemRow(
            uid=uid, memory_id=memory.id, item_id=identity, words=_digest(uid, item), completed=item.completed,
            due_at=moment(item.due_at), said_at=memory.created_at,
        )
        for identity, item in found[:MOST_PER_MEMORY]
    ]  # fmt: skip


def keep(uid: str, memory_id: str, wanted: list[ActionItemRow]) -> None:
    """Put these in the place of the memory's rows, and tell of what no memory held before. Inside of the word index's
    transaction."""
    new = _new(uid, wanted)
    forget_memory(uid, memory_id)
    ActionItemRow.objects.bulk_create(wanted)
    for row in new:
        payload = {"memory_id": memory_id, "action_item_id": row.item_id}
        events.append(uid, events.ACTION_ITEM_CREATED, payload, dedupe_key=f"item:{row.words}")


def _new(uid: str, wanted: list[ActionItemRow]) -> list[ActionItemRow]:
    """What is open, was said lately, and is not said by any row of the user: each once."""
    since = timezone.now() - TOLD_FOR
    lately = {row.words: row for row in reversed(wanted) if not row.completed and row.said_at >= since}
    known = ActionItemRow.objects.filter(uid=uid, words__in=list(lately)).values_list("words", flat=True)
    said = set(known)
    return [row for words, row in lately.items() if words not in said]


def moment(at: datetime | None) -> datetime | None:
    """A due date with a zone: UTC where it has none."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


def forget_memory(uid: str, memory_id: str) -> int:
    """Drop the rows of a memory."""
    return int(ActionItemRow.objects.filter(uid=uid, memory_id=memory_id).delete()[0])


def forget_user(uid: str) -> int:
    """Drop the rows of a user."""
    return int(ActionItemRow.objects.filter(uid=uid).delete()[0])


def remaining(uid: str) -> int:
    """Rows of this user that are still here."""
    return ActionItemRow.objects.filter(uid=uid).count()


def _digest(uid: str, item: ActionItem) -> int:
    text = f"{uid}\n{changes.item_key(item.description)}".encode()
    made = hmac.digest(settings.SECRET_KEY.encode(), b"action item\n" + text, hashlib.sha256)
    return int.from_bytes(made[:8], "big") >> 1
