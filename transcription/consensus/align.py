"""Several transcripts of the same audio, word beside word: slots, in which each vendor has a word or none. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transcription.segments import Word

APART = 0.15
"""Half of the silence (s) that divides the audio into stretches which are aligned by themselves."""
NEAR = 0.6
"""Words whose middles are farther apart (s) are not the same word, whatever their text."""
_GAP, _OTHER, _NEVER = 1.0, 1.4, 1e9
_PLAIN = re.compile(r"[\W_]+", re.UNICODE)


@dataclass(slots=True)
class Slot:
    """``words`` by vendor; who has none here heard nothing, or did not listen."""

    middle: float
    words: dict[str, Word] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)

    def add(self, vendor: str, word: Word) -> None:
        self.words[vendor] = word
        self.texts.add(plain(word.text))


def plain(text: str) -> str:
    return _PLAIN.sub("", text).casefold()


def place(word: Word) -> tuple[float, float]:
    return (word.start, word.end)


def stretches(heard: Mapping[str, Sequence[Word]]) -> list[dict[str, list[Word]]]:
    """Divide where every vendor hears a pause. The vendors keep their order of weight."""
    everything = sorted(
        ((word, vendor) for vendor, words in heard.items() for word in words), key=lambda x: place(x[0])
    )
    found: list[dict[str, list[Word]]] = []
    until = float("-inf")
    for word, vendor in everything:
        if word.start - APART > until + APART:
            found.append({name: [] for name in heard})
        found[-1][vendor].append(word)
        until = max(until, word.end)
    return [{name: words for name, words in stretch.items() if words} for stretch in found]


def align(stretch: Mapping[str, Sequence[Word]]) -> list[Slot]:
    slots: list[Slot] = []
    for vendor, words in stretch.items():
        slots = _merged(slots, vendor, words)
    return slots


def _merged(slots: list[Slot], vendor: str, words: Sequence[Word]) -> list[Slot]:
    """Edit distance between slots and words; a word joins a slot or makes its own."""
    rows, columns = len(slots) + 1, len(words) + 1
    cost = [[0.0] * columns for _ in range(rows)]
    for j in range(1, columns):
        cost[0][j] = j * _GAP
    for i in range(1, rows):
        cost[i][0] = i * _GAP
        for j in range(1, columns):
            cost[i][j] = min(
                cost[i - 1][j - 1] + _pairing(slots[i - 1], words[j - 1]), cost[i - 1][j] + _GAP, cost[i][j - 1] + _GAP
            )
    merged: list[Slot] = []
    i, j = rows - 1, columns - 1
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + _pairing(slots[i - 1], words[j - 1]):
            slots[i - 1].add(vendor, words[j - 1])
            merged.append(slots[i - 1])
            i, j = i - 1, j - 1
        elif j and cost[i][j] == cost[i][j - 1] + _GAP:
            word = words[j - 1]
            slot = Slot((word.start + word.end) / 2)
            slot.add(vendor, word)
            merged.append(slot)
            j -= 1
        else:
            merged.append(slots[i - 1])
            i -= 1
    merged.reverse()
    return merged


def _pairing(slot: Slot, word: Word) -> float:
    if abs(slot.middle - (word.start + word.end) / 2) > NEAR:
        return _NEVER
    return 0.0 if plain(word.text) in slot.texts else _OTHER
