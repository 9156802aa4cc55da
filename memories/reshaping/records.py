"""The rows of merging and splitting, found by their user; what hangs on a memory or a user goes with them."""

from __future__ import annotations

import hashlib
import json
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone

from memories.reshaping.models import ReshapedMemory, Reshaping
from memories.user_events import log as events
from omi.accounts.erased import Fence
from omi.core.pruning import delete_in_pieces

State = Reshaping.State
UNDO_FOR: Final = timedelta(days=30)
"""How long the originals are kept, and the rows of what failed or was undone."""
MOST_AT_ONCE: Final = 5
"""Reshapings of a user that are under way."""
UNDER_WAY: Final = (State.MAKING, State.UNDOING)
HOLDING: Final = (State.MAKING, State.DONE, State.UNDOING)
"""States in which the originals may be hidden, and must not be erased as what the user deleted is."""


class NotFound(LookupError):
    """The user has no such reshaping (404)."""


class TooMany(Exception):
    """As many merges and splits of the user are under way as may be (429)."""


class UnderWay(Exception):
    """One of these memories is part of a reshaping that is under way (409)."""


def find(uid: str, identity: str) -> Reshaping:
    """Return the user's merge or split of this id; raises NotFound."""
    found = Reshaping.objects.filter(uid=uid, pk=identity).first()
    if found is None:
        raise NotFound(identity)
    return found


def originals(row: Reshaping) -> list[str]:
    """Ids of the memories that are replaced, in the order that was asked for."""
    return [item.memory_id for item in row.memories.all() if not item.made]


def made(row: Reshaping) -> list[str]:
    """Ids of the memories that take their place."""
    return [item.memory_id for item in row.memories.all() if item.made]


def listed(uid: str, *, memory_id: str | None, limit: int) -> list[Reshaping]:
    """The user's newest, of one memory where it is named."""
    rows = Reshaping.objects.filter(uid=uid)
    if memory_id is not None:
        rows = rows.filter(pk__in=ReshapedMemory.objects.filter(uid=uid, memory_id=memory_id).values("reshaping"))
    return list(rows.order_by("-created_at", "pk").prefetch_related("memories")[:limit])


def same(uid: str, kind: str, memory_ids: Sequence[str], segment_id: str = "") -> Reshaping | None:
    """What the user asked for before with these memories and has not taken back; None where that failed, too."""
    rows = Reshaping.objects.filter(uid=uid, key=_key(kind, memory_ids, segment_id))
    return rows.exclude(state__in=(State.FAILED, State.UNDONE)).first()


def _key(kind: str, memory_ids: Sequence[str], segment_id: str) -> str:
    return hashlib.sha256(json.dumps([kind, sorted(memory_ids), segment_id]).encode()).hexdigest()


def begin(uid: str, kind: str, memory_ids: Sequence[str], *, segment_id: str, fence: Fence) -> Reshaping:
    """Note what is asked for; the same again gives what is there, one that failed is tried anew.

    ``fence`` is called inside of the transaction; what it raises refuses it, and what it wrote is undone where
    anything else refuses it. Raises TooMany, UnderWay.
    """
    key = _key(kind, memory_ids, segment_id)
    try:
        with events.user_write(uid, fence):
            return _begun(uid, kind, key, memory_ids, segment_id)
    except IntegrityError:  # the same request was faster
        return Reshaping.objects.filter(uid=uid, key=key).exclude(state__in=(State.FAILED, State.UNDONE)).get()


def _begun(uid: str, kind: str, key: str, memory_ids: Sequence[str], segment_id: str) -> Reshaping:
    rows = Reshaping.objects.filter(uid=uid)
    known = rows.filter(key=key).exclude(state=State.UNDONE).order_by("-created_at").first()
    if known is not None and known.state != State.FAILED:
        return known
    under_way = rows.filter(state__in=UNDER_WAY)
    if under_way.count() >= MOST_AT_ONCE:
        raise TooMany
    if ReshapedMemory.objects.filter(reshaping__in=under_way, uid=uid, memory_id__in=memory_ids).exists():
        raise UnderWay
    now = timezone.now()
    if known is not None:
        known.state, known.code, known.tries, known.next_at, known.finished = State.MAKING, "", 0, now, False
        known.created_at = now  # it is tried for as long as the first time
        known.save(update_fields=["state", "code", "tries", "next_at", "finished", "created_at"])
        return known
    row = Reshaping.objects.create(
        id=f"rs_{secrets.token_hex(10)}", uid=uid, kind=kind, key=key, segment_id=segment_id, next_at=now
    )
    number = 2 if kind == Reshaping.Kind.SPLIT else 1
    ReshapedMemory.objects.bulk_create(
        [ReshapedMemory(reshaping=row, uid=uid, memory_id=name, made=False, position=at)
         for at, name in enumerate(memory_ids)]
        + [ReshapedMemory(reshaping=row, uid=uid, memory_id=str(uuid.uuid4()), made=True, position=at)
           for at in range(number)]
    )  # fmt: skip
    return row


def undo_until(row: Reshaping) -> datetime | None:
    """Until when it can be taken back; None where it is not done, or that time is over."""
    until = row.done_at + UNDO_FOR if row.state == State.DONE and row.done_at is not None else None
    return until if until is not None and until > timezone.now() else None


def undoable(uid: str, memory_id: str) -> Reshaping | None:
    """The reshaping that made this memory, as long as it can be taken back."""
    rows = Reshaping.objects.filter(state=State.DONE, finished=True)
    row = rows.filter(memories__uid=uid, memories__memory_id=memory_id, memories__made=True).first()
    return row if row is not None and undo_until(row) is not None else None


def replacement_of(uid: str, memory_id: str) -> str | None:
    """The memory that took the place of this one (of two parts the first); None where it was not merged or split."""
    rows = Reshaping.objects.filter(state=State.DONE, memories__uid=uid, memories__memory_id=memory_id,
                                    memories__made=False)  # fmt: skip
    row = rows.prefetch_related("memories").first()
    return made(row)[0] if row is not None else None


def hidden() -> QuerySet[ReshapedMemory]:
    """Return the originals that may be hidden behind what took their place: they are not in the trash, and go by
    another time."""
    return ReshapedMemory.objects.filter(made=False, reshaping__state__in=HOLDING)


def hidden_behind(uid: str, memory_id: str) -> list[str]:
    """Return the originals that are hidden behind this memory: they say what it says, and go with it."""
    # Of a worker that died behind the change the row may say that it is still being made.
    rows = Reshaping.objects.filter(state__in=(State.MAKING, State.DONE), memories__uid=uid,
                                    memories__memory_id=memory_id, memories__made=True)  # fmt: skip
    return list(ReshapedMemory.objects.filter(reshaping__in=rows, made=False).values_list("memory_id", flat=True))


def forget_memory(uid: str, memory_id: str) -> int:
    """Drop what names a memory that is erased: its place in each reshaping, and those that can no longer be undone."""
    mine = ReshapedMemory.objects.filter(uid=uid, memory_id=memory_id)
    over = Reshaping.objects.filter(pk__in=mine.values("reshaping")).exclude(state__in=(State.UNDOING, State.UNDONE))
    return int(over.delete()[0]) + int(mine.delete()[0])


def forget_user(uid: str) -> int:
    """Drop all rows of a user."""
    return int(Reshaping.objects.filter(uid=uid).delete()[0])


def remaining(uid: str) -> int:
    """Rows of this user that are still here."""
    return Reshaping.objects.filter(uid=uid).count() + ReshapedMemory.objects.filter(uid=uid).count()


def exported(uid: str) -> list[dict[str, Any]]:
    """A user's merges and splits for the export."""
    return [
        {"id": row.pk, "kind": row.kind, "state": row.state, "originals": originals(row), "made": made(row),
         "created_at": row.created_at, "done_at": row.done_at}
        for row in Reshaping.objects.filter(uid=uid).order_by("created_at").prefetch_related("memories")
    ]  # fmt: skip


def prune() -> int:
    """Drop what failed or was undone long ago; how many."""
    old = Reshaping.objects.filter(
        state__in=(State.FAILED, State.UNDONE), created_at__lt=timezone.now() - UNDO_FOR, finished=True
    )
    return delete_in_pieces(old)
