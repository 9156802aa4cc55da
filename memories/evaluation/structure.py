"""Structure measures by rule: what a memory notes was said, and what a person would note is there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from memories.evaluation.dataset import Item
from memories.evaluation.heard import MadeMemory
from memories.evaluation.words import Parts
from memories.wording import figures, terms

SUPPORTED: Final = 2 / 3
"""Share of an entry's words that must have been said: one of three may be a verb in another form."""
STEM: Final = 4
"""First letters by which two forms of a word are one; shorter words are compared whole, and articles not at all."""
WORKED_OUT: Final = re.compile(r" \([^()]*\)$")
"""The day that the product works out stands in brackets at the end of an entry; nobody said it."""
NOBODYS_NAME: Final = re.compile(r"\b[Ss]peaker \d+\b")
"""How the product calls a voice without a name: no word, and no number, of the conversation."""


def structure_parts(item: Item, heard: MadeMemory) -> Parts:
    """Entries and figures that the transcript supports, and the expected entries that are there.

    An entry is held against what was said where that is known, so that a misheard word counts as unsupported; else
    against the transcript.
    """
    if heard.structured is None:
        return _absent(item, heard)
    made, expected = heard.structured, item.expected
    said = item.reference if item.reference is not None else heard.text
    names = " ".join([*item.speakers, *(turn.speaker for turn in item.turns or [])])
    items = [entry.description for entry in made.action_items]
    events = [event.title for event in made.events]
    parts: Parts = {}
    if items:
        parts["items_supported"] = (sum(supported(entry, f"{said} {names}") for entry in items), len(items))
    if events:
        parts["events_supported"] = (sum(supported(entry, f"{said} {names}") for entry in events), len(events))
    noted = [made.title, made.overview, *items, *events]
    if shown := list(figures(" . ".join(_said_in(entry) for entry in noted))):
        known = set(figures(said))
        parts["numbers_supported"] = (sum(number in known for number in shown), len(shown))
    parts |= _covered("items", expected.action_items, items) | _covered("events", expected.events, events)
    if expected.discarded is not None:
        parts["discard_right"] = (float(heard.discarded == expected.discarded), 1)
    return parts


def supported(entry: str, said: str) -> bool:
    """Whether ``entry`` was said: most of its words, and each of its figures."""
    entry = _said_in(entry)
    known = {_stem(word) for word in terms(said)}
    if any(number not in known for number in figures(entry)):
        return False
    words = [word for word in terms(entry) if len(word) >= STEM and not word[0].isdigit()]
    return sum(_stem(word) in known for word in words) >= SUPPORTED * len(words)


def matched(expected: Sequence[str], found: Sequence[str]) -> list[tuple[str, str]]:
    """Which found entry is which expected one; each is used once."""
    left, pairs = list(found), []
    for wanted in expected:
        words = wanted.casefold().split()
        twin = next((entry for entry in left if all(word in entry.casefold() for word in words)), None)
        if twin is not None:
            left.remove(twin)
            pairs.append((wanted, twin))
    return pairs


def _covered(name: str, expected: Sequence[str] | None, found: Sequence[str]) -> Parts:
    if expected is None:
        return {}
    hits = len(matched(expected, found))
    parts: Parts = {}
    if expected:
        parts[f"{name}_found"] = (hits, len(expected))
    if found:
        parts[f"{name}_wanted"] = (hits, len(found))
    return parts


def _absent(item: Item, heard: MadeMemory) -> Parts:
    """Of an item that became no memory: all that was expected of it is missing."""
    if not heard.failure:
        return {}
    wanted = {"items": item.expected.action_items, "events": item.expected.events}
    return {f"{name}_found": (0, len(entries)) for name, entries in wanted.items() if entries}


def _said_in(entry: str) -> str:
    """``entry`` without what the product adds of its own."""
    return NOBODYS_NAME.sub("", WORKED_OUT.sub("", entry))


def _stem(word: str) -> str:
    return word if word[:1].isdigit() else word[:STEM]
