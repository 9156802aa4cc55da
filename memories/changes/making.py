"""Changing the words of a segment and the action items of a memory, and taking such a change back.

Each change is an operation in ``Memory.edits.changes``, beside the machine's transcript and summary, written in one
transaction with what is shown. Every function takes the uid: a stranger's memory is not found.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from memories.feedback import corrections
from memories.pipeline.rules import changes as rules
from memories.repository import memories as repository
from memories.shapes import ActionItem, Change, Memory, UserEdits
from omi.accounts.erased import Fence
from transcription.segments import Segment

MOST_CHANGES: Final = rules.MOST_CHANGES
MOST_ITEMS: Final = 200
"""Action items of one memory."""


class NoSuchSegment(LookupError):
    """The transcript that is shown has no such segment."""


class NoSuchItem(LookupError):
    """The memory has no such action item."""


class NoSuchChange(LookupError):
    """The memory has no such operation."""


TooManyChanges = rules.TooManyChanges


def set_text(uid: str, memory_id: str, segment_id: str, text: str, *, fence: Fence) -> Memory:
    """Put the person's words in the place of a segment's. The same words again change nothing.

    Raises MemoryNotFound, NoSuchSegment, TooManyChanges and what ``fence`` raises.
    """
    corrected: list[tuple[Memory, Segment]] = []

    def change(memory: Memory) -> dict[str, Any]:
        corrected.clear()
        shown = next((item for item in memory.transcript_segments if item.id == segment_id), None)
        if shown is None:
            raise NoSuchSegment(segment_id)
        if shown.text == text:
            return {}
        machine = next(item for item in memory.heard() if item.id == segment_id)
        corrected.append((memory, machine))
        made = Change(
            id=new_id(), kind="text", at=_now(), segment_id=segment_id, start=machine.start, end=machine.end,
            heard=machine.text, before=shown.text, text=text,
        )  # fmt: skip
        return texts(memory, with_change(memory.edits, made))

    changed = repository.mutate_memory(uid, memory_id, change, fence=fence)
    for before, machine in corrected:
        corrections.text_changed(uid, before, machine, text)
    return changed


def listed(memory: Memory) -> list[tuple[str, ActionItem]]:
    """The memory's action items with their ids, as they are shown."""
    return rules.items(rules.made_items(memory), memory.edits)


def add_item(uid: str, memory_id: str, item: ActionItem, *, fence: Fence) -> tuple[str, ActionItem]:
    """Add an action item, and give it with its id. One of the same words that is there is given as it is.

    Raises MemoryNotFound, TooManyChanges and what ``fence`` raises.
    """
    identity = ""

    def change(memory: Memory) -> dict[str, Any]:
        nonlocal identity
        key, there = rules.item_key(item.description), dict(listed(memory))
        same = next((name for name, other in there.items() if rules.item_key(other.description) == key), None)
        identity = same or rules.item_id(item.description)
        if same is not None:
            return {}
        if identity in there:  # of an item that has other words by now
            identity = f"{identity}-{secrets.token_hex(4)}"
        if len(there) >= MOST_ITEMS:
            raise TooManyChanges
        made = _on_item(memory, "item_add", identity, item)
        return _items(memory, with_change(memory.edits, made))

    changed = repository.mutate_memory(uid, memory_id, change, fence=fence)
    return identity, _item(changed, identity)


def change_item(uid: str, memory_id: str, identity: str, given: Mapping[str, Any], *, fence: Fence) -> ActionItem:
    """Set ``given`` fields of an action item (``description``, ``completed``, ``owner``, ``due_at``).

    Raises MemoryNotFound, NoSuchItem, TooManyChanges and what ``fence`` raises.
    """

    def change(memory: Memory) -> dict[str, Any]:
        before = _item(memory, identity)
        fields = {name: value for name, value in given.items() if getattr(before, name) != value}
        if not fields:
            return {}
        made = _on_item(memory, "item_change", identity, before, fields)
        return _items(memory, with_change(memory.edits, made))

    return _item(repository.mutate_memory(uid, memory_id, change, fence=fence), identity)


def delete_item(uid: str, memory_id: str, identity: str, *, fence: Fence) -> None:
    """Take an action item off the list, also of later runs that find it again.

    Raises MemoryNotFound, NoSuchItem, TooManyChanges and what ``fence`` raises.
    """

    def change(memory: Memory) -> dict[str, Any]:
        before = _item(memory, identity)
        made = _on_item(memory, "item_delete", identity, before)
        return _items(memory, with_change(memory.edits, made))

    repository.mutate_memory(uid, memory_id, change, fence=fence)


def undo(uid: str, memory_id: str, change_id: str, *, fence: Fence) -> Change:
    """Take one operation back, whatever came after it; the others stay. Again it changes nothing.

    Raises MemoryNotFound, NoSuchChange and what ``fence`` raises.
    """

    def change(memory: Memory) -> dict[str, Any]:
        found = _operation(memory, change_id)
        if found.undone_at is not None:
            return {}
        undone = found.model_copy(update={"undone_at": _now()})
        kept = [undone if item.id == change_id else item for item in memory.edits.changes]
        edits = memory.edits.model_copy(update={"changes": kept})
        return _items(memory, edits) if found.kind.startswith("item_") else texts(memory, edits)

    return _operation(repository.mutate_memory(uid, memory_id, change, fence=fence), change_id)


def operations(uid: str, memory_id: str) -> list[Change]:
    """What the person changed in a memory, newest first, undone operations too. Raises MemoryNotFound."""
    return repository.get_memory(uid, memory_id).edits.changes[::-1]


def texts(memory: Memory, edits: UserEdits) -> dict[str, Any]:
    """The transcript that is shown, made anew from the machine's words and the operations."""
    shown, edits = rules.lay(memory.heard(), edits)
    return {"transcript_segments": shown, "edits": edits}


def _on_item(
    memory: Memory, kind: Literal["item_add", "item_change", "item_delete"], identity: str, item: ActionItem,
    fields: dict[str, Any] | None = None,
) -> Change:  # fmt: skip
    others = rules.beside(listed(memory), identity, item.description)
    return Change(id=new_id(), kind=kind, at=_now(), item_id=identity, item=item, fields=fields or {}, beside=others)


def _items(memory: Memory, edits: UserEdits) -> dict[str, Any]:
    made = rules.made_items(memory)
    shown = [item for _, item in rules.items(made, edits)]
    return {
        "structured": memory.structured.model_copy(update={"action_items": shown}),
        "edits": edits.model_copy(update={"made_items": made}),
    }


def with_change(edits: UserEdits, made: Change) -> UserEdits:
    """The edits with one operation more. Raises TooManyChanges."""
    return edits.model_copy(update={"changes": rules.kept([*edits.changes, made])})


def _item(memory: Memory, identity: str) -> ActionItem:
    found = dict(listed(memory)).get(identity)
    if found is None:
        raise NoSuchItem(identity)
    return found


def _operation(memory: Memory, change_id: str) -> Change:
    found = next((item for item in memory.edits.changes if item.id == change_id), None)
    if found is None:
        raise NoSuchChange(change_id)
    return found


def own_words(memory: Memory) -> set[str]:
    """Ids of the segments that show words which the person wrote."""
    return {name for change in rules.active(memory.edits, "text") for name in change.places}


def new_id() -> str:
    """An id for an operation."""
    return f"ch_{secrets.token_hex(8)}"


def _now() -> datetime:
    return datetime.now(UTC)
