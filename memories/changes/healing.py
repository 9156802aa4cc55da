"""Old transcripts healed from a corrected term, without new transcription: looked at, done, taken back as a whole.

In each memory it is one operation (``heal``), laid over whatever a run makes, as all of a person's; where the person
wrote words of their own nothing is touched. The word index tells which memories may hold the word, newest first; a call
works on a bounded number of them and tells whether there are more, so that a client goes on and a killed one loses
nothing. Every function takes the uid.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from django.db.models import Count, Q
from django.utils import timezone

from memories.changes import making
from memories.pipeline.rules import healing as rules
from memories.repository import memories as repository
from memories.search import word_index
from memories.shapes import Change, Memory
from memories.user_events import log as events
from memories.vocabulary import terms
from memories.vocabulary.models import HealedMemory, Healing
from memories.wording import composed
from omi.accounts.erased import Fence
from omi.stores.documents.base import TooLarge, Unreadable

MOST_HEALINGS: Final = 200
"""Healings of one user; those that were undone make room."""
AT_ONCE: Final = 50
"""Memories that one call changes, or takes back."""
SEGMENTS_AT_ONCE: Final = 20_000
"""Segments of memories after which a call leaves the rest to the next one: as many as one memory may have."""
LOOKED_AT: Final = 10
"""Memories of one page of the preview."""
SHOWN: Final = 20
"""Places of one memory that the preview shows."""
AROUND: Final = 160
"""Characters that are shown on either side of a place."""


class NoSuchHealing(LookupError):
    """The user has no such healing (404)."""


class NothingToHeal(ValueError):
    """There is nothing to do: ``field`` holds no word, or both say the same (422)."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class BadCursor(ValueError):
    """The cursor is none that a preview gave (422)."""


class TooManyHealings(Exception):
    """The user has as many healings as may be (409)."""


class WasUndone(Exception):
    """The healing was taken back and does not go on (409)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A segment that would change. ``before`` and ``after`` are cut to what stands around the first place."""

    memory_id: str
    title: str
    at: datetime
    segment_id: str
    start: float
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Page:
    """Places of some memories. ``more_places``: beyond ``SHOWN``, by memory. ``next_cursor``: None on the last page."""

    places: list[Place]
    more_places: dict[str, int]
    next_cursor: str | None


def pair(heard: str, term: str) -> tuple[str, str]:
    """What is looked for and what is put there, cleaned as a term of the vocabulary is. Raises NothingToHeal."""
    told = [(terms.cleaned([text]) or [""])[0] for text in (heard, term)]
    for field, text in zip(("heard", "term"), told, strict=True):
        if not rules.is_healable(text):
            raise NothingToHeal(field, "Should hold a word")
    if told[0] == told[1]:
        raise NothingToHeal("term", "Should say something else than what was heard")
    return told[0], told[1]


def preview(uid: str, heard: str, term: str, cursor: str | None = None) -> Page:
    """What a healing would change, a page of memories at a time, newest first; nothing is written.

    Raises NothingToHeal and BadCursor.
    """
    heard, term = pair(heard, term)
    word_index.refresh_at_once(uid)
    found = _holding(uid, heard, cursor, LOOKED_AT + 1)
    looked, more = found[:LOOKED_AT], len(found) > LOOKED_AT
    memories = repository.get_memories(uid, [memory_id for _, memory_id in looked])
    places: list[Place] = []
    rest: dict[str, int] = {}
    for _, memory_id in looked:
        memory = memories.get(memory_id)
        if memory is None:
            continue
        touched = list(_places(memory, heard, term))
        places += touched[:SHOWN]
        if len(touched) > SHOWN:
            rest[memory_id] = len(touched) - SHOWN
    return Page(places, rest, _cursor(looked[-1]) if more else None)


def begin(uid: str, heard: str, term: str, *, left_out: Sequence[str] = (), fence: Fence) -> Healing:
    """Begin a healing, and do the first part of it. ``left_out``: ids of memories that stay as they are.

    Raises NothingToHeal, TooManyHealings and what ``fence`` raises.
    """
    heard, term = pair(heard, term)
    with events.user_write(uid, fence):
        mine = Healing.objects.filter(uid=uid)
        room = MOST_HEALINGS - mine.count()
        if room <= 0:
            over = mine.exclude(undone_at=None).exclude(memories__undone=False).order_by("created_at").first()
            if over is None:
                raise TooManyHealings
            over.delete()
        made = Healing.objects.create(
            id=f"heal_{secrets.token_hex(12)}", uid=uid, heard=heard, term=term, left_out=list(left_out),
            created_at=timezone.now(),
        )  # fmt: skip
    return go_on(uid, made.pk, fence=fence)


def go_on(uid: str, healing_id: str, *, fence: Fence) -> Healing:
    """Heal the next memories, at most ``AT_ONCE``. Where all were looked at it changes nothing.

    Raises NoSuchHealing, WasUndone and what ``fence`` raises.
    """
    healing = get(uid, healing_id)
    if healing.undone_at is not None:
        raise WasUndone
    if healing.through:
        return healing
    word_index.refresh_at_once(uid)
    found = _holding(uid, healing.heard, healing.cursor, AT_ONCE + 1)
    done = looked = 0
    for _, memory_id in found[:AT_ONCE]:
        if looked >= SEGMENTS_AT_ONCE:
            break
        done += 1
        if memory_id not in healing.left_out:
            looked += _heal(uid, healing, memory_id, fence)
    more = len(found) > done
    told = {"cursor": _cursor(found[done - 1])} if more else {"through": True}
    Healing.objects.filter(pk=healing.pk).update(**told, skipped=healing.skipped)
    return get(uid, healing_id)


def undo(uid: str, healing_id: str, *, fence: Fence) -> Healing:
    """Take a healing back in at most ``AT_ONCE`` memories; those that are left show in ``counted``. Every other
    operation stays, whenever it was made. Raises NoSuchHealing and what ``fence`` raises."""
    healing = get(uid, healing_id)
    Healing.objects.filter(pk=healing.pk, undone_at=None).update(undone_at=timezone.now())
    looked = 0
    for row in healing.memories.filter(undone=False).order_by("pk")[:AT_ONCE]:
        if looked >= SEGMENTS_AT_ONCE:
            break
        try:
            memory = repository.mutate_memory(
                uid, row.memory_id, partial(_without, healing.pk), unless_deleted=False, fence=fence
            )  # also in what may be restored
            looked += len(memory.transcript_segments)
        except (repository.MemoryNotFound, Unreadable):
            pass  # deleted or damaged: there is nothing to take back
        HealedMemory.objects.filter(pk=row.pk).update(undone=True)
    return get(uid, healing_id)


def get(uid: str, healing_id: str) -> Healing:
    """Return the user's healing of this id; raises NoSuchHealing."""
    found = Healing.objects.filter(uid=uid, pk=healing_id).first()
    if found is None:
        raise NoSuchHealing(healing_id)
    return found


def of_user(uid: str) -> list[Healing]:
    """All healings of the user, newest first."""
    return list(Healing.objects.filter(uid=uid).order_by("-created_at", "id")[:MOST_HEALINGS])


def counted(found: Sequence[Healing]) -> dict[str, tuple[int, int]]:
    """By healing, in how many memories words were changed, and in how many of them they still are: what is left to an
    undo."""
    rows = HealedMemory.objects.filter(healing__in=found).values("healing").order_by()
    counts = rows.annotate(changed=Count("pk"), standing=Count("pk", filter=Q(undone=False)))
    there = {row["healing"]: (row["changed"], row["standing"]) for row in counts}
    return {healing.pk: there.get(healing.pk, (0, 0)) for healing in found}


def _heal(uid: str, healing: Healing, memory_id: str, fence: Fence) -> int:
    """One memory: the row first, so that whatever is changed is found by an undo. How many segments it has."""
    done, looked = False, 0

    def change(memory: Memory) -> dict[str, Any]:
        nonlocal done, looked
        looked = len(memory.transcript_segments)
        done = any(item.healing == healing.pk for item in memory.edits.changes)
        if done or next(_places(memory, healing.heard, healing.term), None) is None:
            return {}
        operation = Change(
            id=making.new_id(), kind="heal", at=datetime.now(UTC), heard=healing.heard, before=healing.heard,
            text=healing.term, healing=healing.pk,
        )  # fmt: skip
        fields = making.texts(memory, making.with_change(memory.edits, operation))
        done = True
        return fields

    row, new = HealedMemory.objects.get_or_create(healing=healing, memory_id=memory_id)
    try:
        repository.mutate_memory(uid, memory_id, change, fence=partial(_still, healing, fence))
        if done and Healing.objects.filter(pk=healing.pk).exclude(undone_at=None).exists():
            repository.mutate_memory(uid, memory_id, partial(_without, healing.pk), fence=fence)  # in that very moment
    except (making.TooManyChanges, TooLarge):
        healing.skipped, done = healing.skipped + 1, False
    except (repository.MemoryNotFound, Unreadable):
        done = False
    except WasUndone:
        done = False
        raise
    finally:
        if new and not done:
            row.delete()
    return looked


def _still(healing: Healing, fence: Fence) -> None:
    """Inside of the transaction: nothing is changed of a healing that was taken back meanwhile."""
    fence()
    if not Healing.objects.filter(pk=healing.pk, undone_at=None).exists():
        raise WasUndone


def _without(healing_id: str, memory: Memory) -> dict[str, Any]:
    now = datetime.now(UTC)
    standing = [item for item in memory.edits.changes if item.healing == healing_id and item.undone_at is None]
    if not standing:
        return {}
    kept = [item.model_copy(update={"undone_at": now}) if item in standing else item for item in memory.edits.changes]
    return making.texts(memory, memory.edits.model_copy(update={"changes": kept}))


def _places(memory: Memory, heard: str, term: str) -> Iterator[Place]:
    own = making.own_words(memory)
    for segment in memory.transcript_segments:
        if segment.id in own:
            continue
        after = rules.healed(segment.text, heard, term)
        if after == segment.text:
            continue
        at = next(rules.found(segment.text, heard))[0]
        start = max(0, at - AROUND)
        yield Place(
            memory.id, memory.structured.title, memory.created_at, segment.id, segment.start,
            composed(segment.text)[start : at + AROUND], after[start : at + AROUND],
        )  # fmt: skip


Position = tuple[datetime, str]


def _holding(uid: str, heard: str, cursor: str | None, most: int) -> list[Position]:
    """The next memories that may hold the word, behind ``cursor``. Raises BadCursor."""
    return word_index.holding(uid, heard, after=_place(cursor) if cursor else None, most=most)


def _cursor(place: Position) -> str:
    return json.dumps([place[0].isoformat(), place[1]])


def _place(cursor: str) -> Position:
    try:
        moment, memory_id = json.loads(cursor)
        at = datetime.fromisoformat(moment)
    except (ValueError, TypeError) as error:
        raise BadCursor("Invalid cursor") from error
    if at.tzinfo is None or not isinstance(memory_id, str):
        raise BadCursor("Invalid cursor")
    return at, memory_id
