"""An answer without a language model: the sentences that were said and hold most of what was asked for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from memories.asking.evidence import Passage, Understood
from memories.asking.shapes import Sentence
from memories.search.words import terms, words

MOST = 4
LONGEST = 300
_END = re.compile(r"(?<=[.!?。！？])\s*")


def answer(asked: Understood, passages: list[Passage]) -> Iterator[Sentence]:
    """What was said, by whom, the best first; each sentence from one passage."""
    wanted = set(terms(asked.query))
    rated: list[tuple[float, int, str, Passage]] = []
    for place, passage in enumerate(passages):
        spoken = any(passage.speaker == name for name in asked.people.values())
        for part in _parts(passage.text):
            held = len(wanted & set(words(part)))
            # A sentence of the best place counts though it shares no word: meaning brought it.
            score = held + 0.5 * spoken + (1.0 if place == 0 else 0.3 / (place + 1)) - 0.2 * part.endswith("?")
            if held or place == 0:
                rated.append((-score, place, part, passage))
    for _, _, text, passage in sorted(rated, key=lambda item: item[:2])[:MOST]:
        yield Sentence(text=f"{passage.speaker}: {text}", cites=[passage.number])


def _parts(text: str) -> Iterator[str]:
    """Two sentences at a time say more than one."""
    said = [part for part in _END.split(text) if part.strip()]
    for at in range(0, len(said), 2):
        yield " ".join(said[at : at + 2])[:LONGEST]
