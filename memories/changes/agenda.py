"""The action items of all memories of a user as one list, in which the same task said twice is one.

Rows say which there are (``memories.action_items``), the documents what they say.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from django.utils import timezone

from memories.action_items.models import ActionItemRow
from memories.changes import making
from memories.repository import listing
from memories.repository import memories as repository
from memories.search import word_index
from memories.shapes import ActionItem, Memory
from omi.accounts.erased import Fence
from omi.core.batches import batches

State = Literal["open", "done", "due", "overdue", "all"]
Place = tuple[datetime, str, str]

SAME_TASK: Final = timedelta(days=14)
"""The same words, said again at most so long after, are the same task; later it is a new one."""
MOST_ROWS: Final = 5000
"""Action items of one user that are looked at, the newest ones."""
MOST_TOGETHER: Final = 50
"""Memories of one task that are listed and changed together."""
SLICE: Final = 20


class NoSuchTask(LookupError):
    """The user has no such task."""


class BadCursor(ValueError):
    """The cursor is none that a page of tasks gave."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done, and in which memories it was said: (memory, the item's id there), the first one first."""

    id: str
    item: ActionItem
    due_at: datetime | None
    said_in: list[tuple[Memory, str]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of tasks. ``next_cursor`` is None on the last page."""

    tasks: list[Task]
    next_cursor: str | None


def listed(uid: str, *, state: State = "open", limit: int = 50, cursor: str | None = None) -> Page:
    """A page of tasks, by when each was first said, newest first. A page goes on behind the task that ended the one
    before, whatever came since: what is new stands in front, and what is said again stays in its place.

    Raises BadCursor.
    """
    after = _place_of(cursor) if cursor else None
    word_index.refresh_at_once(uid)
    groups = [group for group in _groups(uid, state) if after is None or _place(group[0]) < after]
    page = groups[:limit]
    more = len(groups) > limit and page
    return Page(_told(uid, page), _cursor(_place(page[-1][0])) if more else None)


def change(uid: str, task_id: str, given: Mapping[str, Any], *, fence: Fence) -> Task:
    """Set ``completed`` or ``due_at`` of a task in every memory in which it was said. Again it changes nothing.

    Raises NoSuchTask, TooManyChanges and what ``fence`` raises.
    """
    changed = 0
    for member in _group(uid, task_id)[:MOST_TOGETHER]:
        try:
            making.change_item(uid, member.memory_id, member.item_id, given, fence=fence)
            changed += 1
        except (making.NoSuchItem, repository.MemoryNotFound):
            continue  # deleted since
    if not changed:
        raise NoSuchTask(task_id)
    told = _told(uid, [_group(uid, task_id)])
    if not told:
        raise NoSuchTask(task_id)
    return told[0]


def _group(uid: str, task_id: str) -> list[ActionItemRow]:
    """The rows of a task, which may be named by each of them. Raises NoSuchTask."""
    memory_id, item_id = _parts(task_id)
    word_index.refresh_at_once(uid)
    row = ActionItemRow.objects.filter(uid=uid, memory_id=memory_id, item_id=item_id).first()
    group = next((found for found in _groups(uid, "all") if row in found), None)
    if group is None:
        raise NoSuchTask(task_id)
    return group


def _groups(uid: str, state: State) -> list[list[ActionItemRow]]:
    """Rows of the same task, the first one first; the groups by their first row, newest first. Only those in
    ``state``: what is done and what is open are never one task."""
    rows = ActionItemRow.objects.filter(uid=uid).order_by("-said_at", "-memory_id", "-item_id")
    if state != "all":
        rows = rows.filter(completed=state == "done")
    alike: dict[tuple[int, bool], list[list[ActionItemRow]]] = defaultdict(list)
    for row in reversed(rows[:MOST_ROWS]):
        known = alike[row.words, row.completed]
        if known and row.said_at - known[-1][-1].said_at <= SAME_TASK:
            known[-1].append(row)
        else:
            known.append([row])
    groups = [group for found in alike.values() for group in found]
    if state in ("due", "overdue"):
        now = timezone.now()
        groups = [group for group in groups if (at := _due(group)) is not None and (state == "due" or at < now)]
    return sorted(groups, key=lambda group: _place(group[0]), reverse=True)


def _due(group: Sequence[ActionItemRow]) -> datetime | None:
    """The due date that was said last."""
    return next((row.due_at for row in reversed(group) if row.due_at is not None), None)


def _told(uid: str, groups: Sequence[Sequence[ActionItemRow]]) -> list[Task]:
    """The tasks with their words. One whose memories were deleted since the rows were read is left out."""
    tasks: list[Task] = []
    for part in batches((group[:MOST_TOGETHER] for group in groups), SLICE):
        memories: dict[str, Memory] = {}
        wanted = list(dict.fromkeys(row.memory_id for group in part for row in group))
        for some in batches(wanted, SLICE):
            found = without_long_transcripts(uid, some)
            memories |= {item.id: item.model_copy(update={"transcript_segments": []}) for item in found}
        for group in part:
            said = [(memories[row.memory_id], row.item_id) for row in group if row.memory_id in memories]
            items = [dict(making.listed(memory)).get(item_id) for memory, item_id in said]
            first = next((item for item in items if item is not None), None)
            if first is not None:
                tasks.append(Task(_task_id(*said[0]), first, _due(group), said))
    return tasks


def without_long_transcripts(uid: str, ids: Sequence[str]) -> list[Memory]:
    """Return those of these memories that are there; the words of a long one, which lie apart, are not fetched."""
    room = listing.Room(sys.maxsize)
    return [memory for _, memory in listing.get_bounded([(uid, name) for name in ids], room)]


def memory_of(task_id: str) -> str | None:
    """The memory that a task's id names; None where it is no id of ours."""
    try:
        return _parts(task_id)[0]
    except NoSuchTask:
        return None


def _task_id(memory: Memory, item_id: str) -> str:
    return _packed([memory.id, item_id])


def _parts(task_id: str) -> tuple[str, str]:
    match _unpacked(task_id):
        case [str(memory_id), str(item_id)]:
            return memory_id, item_id
    raise NoSuchTask(task_id)


def _place(row: ActionItemRow) -> Place:
    return row.said_at, row.memory_id, row.item_id


def _cursor(place: Place) -> str:
    return _packed([place[0].isoformat(), *place[1:]])


def _place_of(cursor: str) -> Place:
    match _unpacked(cursor):
        case [str(moment), str(memory_id), str(item_id)]:
            try:
                at = datetime.fromisoformat(moment)
            except ValueError as error:
                raise BadCursor(cursor) from error
            if at.tzinfo is not None:
                return at, memory_id, item_id
    raise BadCursor(cursor)


def _packed(values: Sequence[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _unpacked(text: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
