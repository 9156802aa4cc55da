"""Whether two texts are hearings of the same speech. Cheap and without any model: enough to tell a weak hearing of the
same words from a hearing of other ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

LEAST_WORDS: Final = 15
LONG: Final = 60
SHORT_BOUND: Final = 0.12
LONG_BOUND: Final = 0.17
LENGTHS: Final = 0.5
"""The shorter text's share of the longer one's words, at the least: a hearing with gaps says nothing about the rest."""
MOST_WORDS: Final = 20_000
"""Of each text: two hours of talk decide for what follows."""
MOST_CHARACTERS: Final = 60_000
"""Of those words: an hour and a quarter of talk (fifteen characters a second). Comparing takes the product of both
lengths over sixty-four: a second at this size, whatever the letters."""

_SIZE: Final = 3


def bound(words: int) -> float:
    """The similarity below which two texts, the shorter one of so many words, are not of the same speech.

    Chosen on 51 read utterances (LibriSpeech, fifteen readers) that the bundled engine heard with 65 % word errors,
    against what was read (a perfect new transcript): alone and up to ten in a row. From 60 words on the right pairs
    lie at 0.268 or higher (95 % over 0.29) and pairs of different texts at 0.160 or lower; from 25 to 60 words at
    0.196 and 0.190 (95 % under 0.143), from 15 to 25 at 0.126 (the next 0.198) and 0.189 (95 % under 0.13), so that a
    short text is rejected only far below. Shorter ones overlap and are not judged. Six better hearings of the bundled
    conversation (13 to 24 % word errors) and a bad one (54 %) lie far above. Whole words separate less: in order 0.250
    and 0.201 from 60 words on, without order 0.309 and 0.341. A weak engine writes what sounds like the right words.
    """
    return LONG_BOUND if words >= LONG else SHORT_BOUND


def same_speech(a: Sequence[str], b: Sequence[str]) -> bool | None:
    """Judge whether two texts are of the same speech; None where there are too few words, or too many more on one side,
    to judge."""
    fewest, most = sorted((len(a), len(b)))
    if fewest < LEAST_WORDS or fewest < LENGTHS * most:
        return None
    return similarity(a, b) >= bound(fewest)


def similarity(a: Sequence[str], b: Sequence[str]) -> float:
    """0..1: the letter trigrams that both have in the same order, twice, over all of them."""
    first, second = _trigrams(a[:MOST_WORDS]), _trigrams(b[:MOST_WORDS])
    if not first or not second:
        return 0.0
    return 2 * _in_order(first, second) / (len(first) + len(second))


def _trigrams(words: Sequence[str]) -> list[str]:
    text = " ".join(words)[:MOST_CHARACTERS]
    return [text[at : at + _SIZE] for at in range(len(text) - _SIZE + 1)]


def _in_order(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence, a whole row of the table in one number (Hyyrö 2004): an hour against
    an hour takes a second or two where the plain table takes an hour."""
    places: dict[str, int] = {}
    for index, item in enumerate(a):
        places[item] = places.get(item, 0) | 1 << index
    full = (1 << len(a)) - 1
    row = full
    for item in b:
        hit = row & places.get(item, 0)
        if hit:
            row = ((row + hit) | (row - hit)) & full
    return len(a) - row.bit_count()
