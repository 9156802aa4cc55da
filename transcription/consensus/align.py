"""Several transcripts of the same audio, word beside word: slots, in which each vendor has a word or none. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from transcription.segments import Word

APART = 0.15
"""Half of the silence (s) that divides the audio into stretches which are aligned by themselves."""
NEAR = 0.6
"""Words whose middles are farther apart (s) are not the same word, whatever their text."""
LONGEST = 1000
"""Words of one stretch; a longer one (nobody pauses for minutes) is divided where it is quietest. 1,000 words of three
vendors take about 0.1 s."""
_GAP, _OTHER, _NEVER = 10, 14, 1 << 20
"""Costs of a word that one side lacks, of another word in its place, and of what cannot be. Two that misheard a word
differently stand in one slot (14 < 10 + 10)."""
_PLAIN = re.compile(r"[\W_]+", re.UNICODE)
Stretch = dict[str, list[Word]]


@dataclass(slots=True)
class Slot:
    """One place in the aligned transcripts. ``words`` by vendor; who has none here heard nothing, or did not listen.
    ``middle`` in seconds."""

    middle: float
    words: dict[str, Word] = field(default_factory=dict)


def plain(text: str) -> str:
    """Return a word in lower case without its punctuation, as words are compared."""
    return _PLAIN.sub("", text).casefold()


def place(word: Word) -> tuple[float, float]:
    """Return where a word lies: start and end in seconds."""
    return (word.start, word.end)


def stretches(heard: Mapping[str, Sequence[Word]]) -> list[Stretch]:
    """Divide where every vendor hears a pause, and what is too long in its widest pause. Vendors keep their order."""
    found: list[Stretch] = []
    until = float("-inf")
    for word, vendor in _together(heard):
        if word.start - APART > until + APART:
            found.append({name: [] for name in heard})
        found[-1][vendor].append(word)
        until = max(until, word.end)
    short = [part for stretch in found for part in _shorter(stretch)]
    return [{name: words for name, words in stretch.items() if words} for stretch in short]


def _together(heard: Mapping[str, Sequence[Word]]) -> list[tuple[Word, str]]:
    return sorted(((word, vendor) for vendor, words in heard.items() for word in words), key=lambda x: place(x[0]))


def _shorter(stretch: Stretch) -> list[Stretch]:
    waiting, short = [stretch], []
    while waiting:
        now = waiting.pop()
        if max(map(len, now.values())) <= LONGEST:
            short.append(now)
            continue
        ordered = [word for word, _ in _together(now)]
        middle = range(len(ordered) // 4, 3 * len(ordered) // 4)
        at = max(middle, key=lambda index: ordered[index + 1].start - ordered[index].end)
        # By rank, and not by a moment: words that all claim one time are divided, too.
        first = {id(word) for word in ordered[: at + 1]}
        waiting.append({name: [word for word in words if id(word) not in first] for name, words in now.items()})
        waiting.append({name: [word for word in words if id(word) in first] for name, words in now.items()})
    return short


def align(stretch: Mapping[str, Sequence[Word]]) -> list[Slot]:
    """A network of words (ROVER): each vendor's words are put beside what those before it have."""
    numbers: dict[str, int] = {}
    slots: list[Slot] = []
    rows: list[NDArray[np.int64]] = []  # by vendor: the number of its text in each slot, or -1
    for vendor, words in stretch.items():
        texts = np.array([numbers.setdefault(plain(word.text), len(numbers)) for word in words], np.int64)
        middles = np.array([(word.start + word.end) / 2 for word in words])
        pairs = _pairs(slots, words, texts, middles, rows)
        merged: list[Slot] = []
        for slot, word in pairs:
            if word is None or slot is not None:
                merged.append(slots[slot if slot is not None else 0])
            else:
                merged.append(Slot(float(middles[word])))
            if word is not None:
                merged[-1].words[vendor] = words[word]
        kept = [-1 if slot is None else slot for slot, _ in pairs]
        rows = [np.append(row, -1)[kept] for row in rows]
        rows.append(np.append(texts, -1)[[-1 if word is None else word for _, word in pairs]])
        slots = merged
    return slots


def _pairs(
    slots: Sequence[Slot], words: Sequence[Word], texts: NDArray[np.int64], middles: NDArray[np.float64],
    rows: Sequence[NDArray[np.int64]],
) -> list[tuple[int | None, int | None]]:  # fmt: skip
    """Which word stands in which slot, in order (edit distance); None: a new slot, or no word."""
    alike = np.zeros((len(slots), len(words)), bool)
    for row in rows:
        alike |= row[:, None] == texts[None, :]
    near = np.abs(np.array([slot.middle for slot in slots])[:, None] - middles[None, :]) <= NEAR
    pairing = np.where(near, np.where(alike, 0, _OTHER), _NEVER).astype(np.int32)
    missing = np.arange(len(words) + 1, dtype=np.int32) * _GAP
    cost = np.empty((len(slots) + 1, len(words) + 1), np.int32)
    cost[0] = missing
    for i in range(1, len(slots) + 1):
        cost[i, 0] = i * _GAP
        np.minimum(cost[i - 1, :-1] + pairing[i - 1], cost[i - 1, 1:] + _GAP, out=cost[i, 1:])
        # A word that stands in no slot: one gap more than the best cell to the left.
        cost[i] = np.minimum.accumulate(cost[i] - missing) + missing
    found: list[tuple[int | None, int | None]] = []
    i, j = len(slots), len(words)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + pairing[i - 1, j - 1]:
            i, j = i - 1, j - 1
            found.append((i, j))
        elif j and cost[i, j] == cost[i, j - 1] + _GAP:
            j -= 1
            found.append((None, j))
        else:
            i -= 1
            found.append((i, None))
    return found[::-1]
