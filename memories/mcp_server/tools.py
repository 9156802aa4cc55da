"""What the four tools give: JSON of the same functions as the REST interface, always of the user who asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Any

from django.conf import settings
from pydantic import BaseModel, ConfigDict, Field

from memories.api.long_memories import in_turn, weight
from memories.mirror.models import MemoryRow
from memories.passages.models import IndexedMemory
from memories.pipeline import budgets
from memories.recaps import reading
from memories.repository import listing
from memories.repository import memories as repository
from memories.search import query, word_index
from memories.shapes import Memory
from omi.accounts.throttles import allowed
from omi.accounts.users import get_user, zone, zone_of
from omi.core.batches import batches
from omi.core.calendar import midnight
from speakers import people
from transcription.segments import Segment

MOST_TEXT = 100_000
"""Characters of a transcript that are given."""
Day = Annotated[date, Field(ge=date(1970, 1, 2), lt=date(9999, 1, 1))]


class Refused(Exception):
    """A sentence for the client: what it asked for is not there, or not now."""


class Search(BaseModel):
    """Find moments in the user's recorded conversations by meaning, words, names or numbers. Each result has an id for
    `fetch`, the passage as it was said, and its moment in the recording in seconds."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=1000)
    limit: int = Field(default=10, ge=1, le=20)
    start: Day | None = Field(default=None, description="first day, in the user's time zone")
    end: Day | None = Field(default=None, description="last day")


class Fetch(BaseModel):
    """Read one memory: title, summary, action items, and what was said by whom at which second."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=128, description="an id that search gave")


class ListActionItems(BaseModel):
    """List the user's action items of all memories, newest first."""

    model_config = ConfigDict(extra="forbid")

    include_completed: bool = False
    limit: int = Field(default=50, ge=1, le=200)


class Recap(BaseModel):
    """Read the recap of a day, or of the week in which the day lies: what it was about in short where a model wrote
    it, decisions, open tasks, people, moods, quotes."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(default="day", pattern="^(day|week)$")
    day: Day


def search(uid: str, asked: Search) -> dict[str, Any]:
    """Results with id, title, text and moment. Counts to the same rate and budget as a search by any other door."""
    if not allowed("searches", uid):
        raise Refused("Too many searches within a minute. Please try again in a minute.")
    try:
        budgets.spend(uid, searches=1)
    except budgets.BudgetSpent as error:
        raise Refused(str(error)) from error
    own = zone_of(uid)
    filters = query.Filters(
        start=midnight(asked.start, own) if asked.start else None,
        end=midnight(asked.end + timedelta(days=1), own) - timedelta(microseconds=1) if asked.end else None,
    )
    results = []
    for hit in query.search(uid, asked.query, asked.limit, filters):
        place = hit.place
        results.append({
            "id": hit.memory.id, "title": hit.memory.structured.title,
            "at": (hit.memory.started_at or hit.memory.created_at).isoformat(), "score": hit.score,
            "text": place.text if place else "", "start": place.start if place else None,
            "end": place.end if place else None,
        })  # fmt: skip
    return {"results": results}


def fetch(uid: str, asked: Fetch) -> dict[str, Any]:
    """The memory as text, with what was made of it."""
    rows = MemoryRow.objects.filter(uid=uid, memory_id=asked.id)
    with in_turn(uid, weight(rows)):
        return _fetched(uid, asked)


def _fetched(uid: str, asked: Fetch) -> dict[str, Any]:
    try:
        memory = repository.get_memory(uid, asked.id)
    except repository.MemoryNotFound as error:
        raise Refused("There is no memory with this id.") from error
    names, user = people.names(uid), get_user(uid)
    lines = [f"[{item.start:.1f}] {_who(item, names, user.name)}: {item.text}" for item in memory.transcript_segments]
    said = "\n".join(lines)
    return {
        "id": memory.id, "title": memory.structured.title, "overview": memory.structured.overview,
        "at": (memory.started_at or memory.created_at).astimezone(zone(user)).isoformat(), "language": memory.language,
        "category": memory.structured.category.value, "action_items": _items(memory, True),
        "text": said[:MOST_TEXT], "cut": len(said) > MOST_TEXT,
    }  # fmt: skip


def list_action_items(uid: str, asked: ListActionItems) -> dict[str, Any]:
    """Action items with the memory that they come from."""
    word_index.refresh_at_once(uid)
    rows = IndexedMemory.objects.filter(uid=uid)
    if not asked.include_completed:
        rows = rows.filter(open_items__gt=0)
    items: list[dict[str, Any]] = []
    ids = list(rows.order_by("-created_at").values_list("memory_id", flat=True)[: 2 * asked.limit])
    for part in batches(ids, listing.SLICE):
        room = listing.Room(settings.OMI_ANSWER_BYTES)
        with in_turn(uid, weight(MemoryRow.objects.filter(uid=uid, memory_id__in=part), listed=True)):
            for _, memory in listing.get_bounded([(uid, name) for name in part], room):
                items += [] if memory.discarded else _items(memory, asked.include_completed)
        if len(items) >= asked.limit:
            break
    return {"action_items": items[: asked.limit]}


def recap(uid: str, asked: Recap) -> dict[str, Any]:
    """The recap as it is read over REST."""
    try:
        row, told = reading.get(uid, asked.kind, asked.day)
    except reading.RecapNotFound as error:
        raise Refused("There is no recap of this period.") from error
    if told is None:
        raise Refused("The recap is being made; ask again in a minute.")
    return {"first": row.first.isoformat(), "making": row.due, **told}


TOOLS: dict[str, tuple[type[BaseModel], Callable[[str, Any], dict[str, Any]]]] = {
    "search": (Search, search),
    "fetch": (Fetch, fetch),
    "list_action_items": (ListActionItems, list_action_items),
    "recap": (Recap, recap),
}


def _items(memory: Memory, completed: bool) -> list[dict[str, Any]]:
    return [
        {"description": item.description, "completed": item.completed, "owner": item.owner,
         "due_at": item.due_at.isoformat() if item.due_at else None, "memory_id": memory.id,
         "memory_title": memory.structured.title}
        for item in memory.structured.action_items if completed or not item.completed
    ]  # fmt: skip


def _who(segment: Segment, names: dict[str, str], user: str) -> str:
    if segment.is_user:
        return user or "User"
    return names.get(segment.person_id or "") or f"Speaker {segment.speaker_id}"
