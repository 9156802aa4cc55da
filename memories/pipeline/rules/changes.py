"""A person's operations on words and action items, laid over what a run made. Pure functions.

A corrected sentence is found again in another transcript by its time and by the words that the machine had heard. An
action item is found by its words; one that the person touched is never lost because a run does not find it again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Final

from memories.pipeline.rules import healing, user_edits, voices
from memories.pipeline.rules.tokens import tokens_in
from memories.shapes import ActionItem, Change, Memory, Structured, UserEdits
from transcription.segments import Segment, clean_text

ALIKE: Final = 0.6
"""Share of a sentence's words that another transcript must have at this time, for it to be the same sentence."""
SAME_ITEM: Final = 0.6
"""Share of words that two action items must have in common to be the same one."""
MOST_CHANGES: Final = 200
"""Operations that one memory keeps; those that were undone make room first."""
MOST_CHARACTERS: Final = 200_000
"""Characters in all operations of a memory together: they are part of its document."""
MARGIN: Final = 2.0
"""Seconds by which two transcripts may differ about when something was said."""

_BARE: Final = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff01-\uff9f"
_WORD: Final = re.compile(rf"[{_BARE}]|[^\s{_BARE}]+")


def active(edits: UserEdits, *kinds: str) -> list[Change]:
    """The operations that hold, oldest first."""
    return [change for change in edits.changes if change.undone_at is None and change.kind in kinds]


class TooManyChanges(Exception):
    """A memory holds as many operations, or action items, as it may."""


def kept(operations: Sequence[Change]) -> list[Change]:
    """The operations, without those undone ones that have no room. Raises TooManyChanges."""
    left = list(operations)
    for undone in [item for item in left if item.undone_at is not None]:
        if _fits(left):
            break
        left.remove(undone)
    if not _fits(left):
        raise TooManyChanges
    return left


def _fits(operations: Sequence[Change]) -> bool:
    words = sum(
        len(item.heard)
        + len(item.before)
        + len(item.text)
        + len(item.item.description if item.item else "")
        + sum(map(len, item.beside))
        + 8 * (len(item.spans) + len(item.into_spans))
        for item in operations
    )
    return len(operations) <= MOST_CHANGES and words <= MOST_CHARACTERS


def on_items(edits: UserEdits) -> bool:
    """Whether the person changed action items, also where all of it was undone."""
    return any(change.kind.startswith("item_") for change in edits.changes)


def lay(segments: Sequence[Segment], edits: UserEdits) -> tuple[list[Segment], UserEdits]:
    """Return ``segments`` (the machine's) with the person's voices and words, and the edits with the places of each."""
    return lay_texts(*voices.lay(segments, edits))


def lay_texts(segments: Sequence[Segment], edits: UserEdits) -> tuple[list[Segment], UserEdits]:
    """Return ``segments`` (the machine's words) with the person's, and the edits with the places at which each now
    stands."""
    changes, heals = active(edits, "text"), active(edits, "heal")
    if not changes and not heals:
        return list(segments), edits
    last: dict[tuple[str | None, float, float], Change] = {
        (change.segment_id, change.start, change.end): change for change in changes
    }
    shown, settled = list(segments), {}
    machine = {item.id: item.text for item in segments}
    for change in changes:
        if last[change.segment_id, change.start, change.end] is not change:
            settled[change.id] = change.model_copy(update={"places": {}, "orphaned": False})  # a later one holds there
            continue
        placed = _placed(shown, change, machine)
        places = {shown[index].id: machine[shown[index].id] for index in placed or ()}
        for index, text in (placed or {}).items():
            shown[index] = shown[index].model_copy(update={"text": text})
        settled[change.id] = change.model_copy(update={"places": places, "orphaned": placed is None})
    own = {name for change in settled.values() for name in change.places}
    for heal in heals:  # behind all texts: what the person wrote is not touched
        places = {}
        for index, item in enumerate(shown):
            text = healing.healed(item.text, heal.heard, heal.text) if item.id not in own else item.text
            if text != item.text:
                places[item.id] = machine[item.id]
                shown[index] = item.model_copy(update={"text": text})
        settled[heal.id] = heal.model_copy(update={"places": places, "orphaned": not places})
    return shown, edits.model_copy(update={"changes": [settled.get(item.id, item) for item in edits.changes]})


def _placed(segments: Sequence[Segment], change: Change, machine: Mapping[str, str]) -> dict[int, str] | None:
    """The new texts by index of the segment; None where the corrected words stand nowhere around their time."""
    for index, item in enumerate(segments):
        if item.id == change.segment_id and machine[item.id].strip() == change.heard.strip():
            return {index: change.text}
    best: dict[int, str] | None = None
    most = 0
    for margin in (0.0, MARGIN):  # said again a moment before or later the words that stand at its time are meant
        near = [
            index
            for index, item in enumerate(segments)
            if item.end > change.start - margin and item.start < change.end + margin
        ]
        words = [(index, word) for index in near for word in _words(segments[index].text)]
        there = [_key(word) for _, word in words]
        span = _span(there, _words(change.heard)) or _span(there, _words(change.text))
        if span is not None and span[2] > most:
            best, most = _rewritten(words, span[:2], change.text), span[2]
    return best


def _words(text: str) -> list[str]:
    """Words as they are written; of writings without blanks each character."""
    return _WORD.findall(text)


def _key(word: str) -> str:
    return "".join(tokens_in(word)) or word


def _span(there: Sequence[str], wanted: Sequence[str]) -> tuple[int, int, int] | None:
    """From which to which word ``wanted`` stands in ``there``, if enough of it does and little else between; and how
    many of its words do."""
    keys = [_key(word) for word in wanted]
    blocks = [block for block in SequenceMatcher(None, there, keys, autojunk=False).get_matching_blocks() if block.size]
    found = sum(block.size for block in blocks)
    if not keys or found < ALIKE * len(keys):
        return None
    # Words before the first and behind the last that match were heard otherwise there: as many belong to it.
    first = max(0, blocks[0].a - blocks[0].b)
    last = min(len(there), blocks[-1].a + blocks[-1].size + len(keys) - blocks[-1].b - blocks[-1].size)
    return (first, last, found) if last - first <= 2 * len(keys) + 1 else None


def _rewritten(words: Sequence[tuple[int, str]], span: tuple[int, int], text: str) -> dict[int, str]:
    """The segments that the span touches with ``text`` in its place: each of its words in the segment in which the
    word that it matches stands, else where the one before it went."""
    start, end = span
    owners = [index for index, _ in words[start:end]]
    new = _words(text)
    if len(set(owners)) == 1:
        shares = {owners[0]: text}
    else:
        matcher = SequenceMatcher(
            None, [_key(word) for _, word in words[start:end]], [_key(word) for word in new], autojunk=False
        )
        owner = [-1] * len(new)
        for block in matcher.get_matching_blocks():
            for offset in range(block.size):
                owner[block.b + offset] = owners[block.a + offset]
        current, told = owners[0], dict.fromkeys(owners, "")
        for position, word in enumerate(new):
            current = owner[position] if owner[position] >= 0 else current
            told[current] = f"{told[current]} {word}".strip()
        shares = told
    result = {}
    for index, share in shares.items():
        before = [word for at, (owner_of, word) in enumerate(words) if owner_of == index and at < start]
        behind = [word for at, (owner_of, word) in enumerate(words) if owner_of == index and at >= end]
        result[index] = share if not before and not behind else clean_text(" ".join([*before, share, *behind]))
    return result


def item_key(description: str) -> str:
    """What makes two descriptions the same: their words, whatever the case and the marks."""
    return " ".join(tokens_in(description)) or description.strip().casefold()


def item_id(description: str) -> str:
    """The id of an action item that nobody gave another: a digest of its words."""
    return "ai_" + hashlib.sha256(item_key(description).encode()).hexdigest()[:16]


def made_items(memory: Memory) -> list[ActionItem]:
    """The machine's action items, without what the person did to them."""
    kept = memory.edits.made_items
    return memory.structured.action_items if kept is None else kept


def items(made: Sequence[ActionItem], edits: UserEdits) -> list[tuple[str, ActionItem]]:
    """Action items with their ids, after all operations that hold."""
    listed: list[tuple[str, ActionItem]] = []
    for item in made:
        name, number = item_id(item.description), 1
        taken = {identity for identity, _ in listed}
        while name in taken:
            number += 1
            name = f"{item_id(item.description)}-{number}"
        listed.append((name, item))
    held = active(edits, "item_add", "item_change", "item_delete")
    added = {change.item_id for change in held if change.kind == "item_add"}
    withdrawn = {change.item_id for change in edits.changes if change.kind == "item_add"} - added
    for change in held:
        if change.item_id not in withdrawn or change.item_id in {name for name, _ in listed}:
            listed = _changed(listed, change, {*change.beside, *(str(name) for name in added)})
    return listed


def _changed(listed: list[tuple[str, ActionItem]], change: Change, others: set[str]) -> list[tuple[str, ActionItem]]:
    """The list after one operation. ``others``: ids that name other items, however alike: what the person added, and
    what stood beside it when the person said so."""
    identity, base = str(change.item_id), change.item
    at = next((index for index, (name, _) in enumerate(listed) if name == identity), None)
    if at is None and base is not None:
        at = _alike(listed, base.description, others)
    if change.kind == "item_delete":
        return [pair for index, pair in enumerate(listed) if index != at]
    if base is None:
        return listed
    now = (base if at is None or change.kind == "item_add" else listed[at][1]).model_dump() | change.fields
    pair = (identity, ActionItem.model_validate(now))
    if at is None:
        return [*listed, pair]
    return [pair if index == at else other for index, other in enumerate(listed)]


def _alike(listed: Sequence[tuple[str, ActionItem]], description: str, others: set[str]) -> int | None:
    """The item that says nearly the same in other words, and is none of ``others``."""
    best, most = None, SAME_ITEM
    for index, (name, item) in enumerate(listed):
        share = _shared(item.description, description) if name not in others else 0.0
        if share > most or (share == most and best is None):
            best, most = index, share
    return best


def beside(listed: Sequence[tuple[str, ActionItem]], identity: str, description: str) -> list[str]:
    """Ids of the other items that say nearly the same as this one."""
    return [name for name, item in listed
            if name != identity and _shared(item.description, description) >= SAME_ITEM]  # fmt: skip


def _shared(said: str, wanted: str) -> float:
    """Which part of the words of both is in both."""
    one, other = set(tokens_in(said)), set(tokens_in(wanted))
    return len(one & other) / len(one | other) if one | other else 0.0


def lay_items(made: Structured, edits: UserEdits) -> Structured:
    """The structure with the person's action items."""
    if not on_items(edits):
        return made
    return made.model_copy(update={"action_items": [item for _, item in items(made.action_items, edits)]})


def lay_structure(memory: Memory, made: Structured, edits: UserEdits) -> tuple[Structured, UserEdits]:
    """What a run made, with all that the person set or ticked off; and the edits, with the machine's action items of
    now where the person changed some."""
    before = memory.structured.model_copy(update={"action_items": made_items(memory)})
    flagged = user_edits.keep_flags(before, made)
    if on_items(edits):
        edits = edits.model_copy(update={"made_items": flagged.action_items})
    return lay_items(user_edits.structured(flagged, edits), edits), edits
