"""Forgiving misspellings: three letters each of the user's words, as keyed digests, and which words look like another.

Accents do not count (``Müller`` is ``muller``); a word that is contained in a longer one (``Zahnarzt`` in
``Zahnarzttermin``) looks like it. Scripts without blanks need none of this: their words are pairs of characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from django.db import connection
from django.db.models import Count, Max

from memories.passages.models import SpellingGram
from omi.core.batches import batches

SHORTEST, LONGEST = 4, 32
"""Letters of a word that may be misspelled: in a shorter one three letters say nothing."""
ALIKE = 0.5
"""Share of the grams (Dice) above which two words are one, differently written: ``Kowalsky`` and ``Kowalski`` 0.78,
``Thompson`` and ``Tomson`` 0.53."""
CONTAINED, CONTAINED_LETTERS = 0.85, 5
MOST_ALIKE = 3
ROWS = 200

Digest = Callable[[Iterable[str]], Mapping[str, int]]
"""Keyed digests of texts, one user's (``memories.search.word_index``)."""


@lru_cache(maxsize=20_000)
def grams(word: str) -> frozenset[str]:
    """Three letters each, with the word's beginning and end, without accents; none of what is no word of letters."""
    if not (SHORTEST <= len(word) <= LONGEST) or not word.isalpha():
        return frozenset()
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))
    padded = f" {plain} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


def alike(one: str, other: str) -> float:
    """0..1 of two words, as ``similar`` counts."""
    return _likeness(grams(one), grams(other), len(one))


def _likeness(asked: frozenset[str], held: frozenset[str], letters: int) -> float:
    return _rate(len(asked & held), len(asked), len(held), letters)


def _rate(shared: int, asked: int, held: int, letters: int) -> float:
    if not asked or not held:
        return 0.0
    dice = 2.0 * shared / (asked + held)
    part = shared / asked
    inside = 0.9 * part if letters >= CONTAINED_LETTERS and part >= CONTAINED else 0.0
    return max(dice if dice >= ALIKE else 0.0, inside)


def learn(uid: str, words: Mapping[str, int], digest: Digest) -> None:
    """Add the grams of words (text to digest) that this user has said for the first time."""
    able = {text: number for text, number in words.items() if grams(text)}
    known: set[int] = set()
    for part in batches(able.values(), ROWS):
        known |= set(SpellingGram.objects.filter(uid=uid, word__in=part).values_list("word", flat=True))
    rows: list[tuple[int, int, int, str]] = []
    for text, number in able.items():
        if number not in known:
            letters = grams(text)
            rows += [(gram, number, len(letters), uid) for gram in digest([f"\n{gram}" for gram in letters]).values()]
    _insert(rows)


def _insert(rows: list[tuple[int, int, int, str]]) -> None:
    """As text: some six rows a word, for which bulk_create takes five times as long."""
    with connection.cursor() as cursor:
        for part in batches(rows, ROWS):
            places = ", ".join(["(%s, %s, %s, %s)"] * len(part))
            cursor.execute(
                f"INSERT INTO passages_spellinggram (gram, word, size, uid) VALUES {places} ON CONFLICT DO NOTHING",  # noqa: S608
                [value for row in part for value in row],
            )


def similar(word: str, digest: Digest) -> dict[int, float]:
    """Digests of this user's words that look like ``word``, with how much (0..1), best first."""
    letters = grams(word)
    if not letters:
        return {}
    asked = list(digest([f"\n{gram}" for gram in letters]).values())
    found = (
        SpellingGram.objects.filter(gram__in=asked).order_by().values("word")
        .annotate(shared=Count("gram"), held=Max("size"))
        .filter(shared__gte=max(2, int(len(asked) * 0.4))).order_by("-shared")[:200]
    )  # fmt: skip
    rated = {row["word"]: _rate(row["shared"], len(asked), row["held"], len(word)) for row in found}
    best = sorted((item for item in rated.items() if item[1] > 0), key=lambda item: (-item[1], item[0]))
    return dict(best[:MOST_ALIKE])


def forget(uid: str, words: Iterable[int]) -> int:
    """Drop words that no memory of the user holds any more."""
    return sum(SpellingGram.objects.filter(uid=uid, word__in=part).delete()[0] for part in batches(words, ROWS))


def forget_some(uid: str, most: int) -> int:
    """Drop up to some ``most`` rows of a user, whole words; how many. 0: there are none left."""
    mine = SpellingGram.objects.filter(uid=uid)
    edge = list(mine.order_by("word").values_list("word", flat=True)[:most])[-1:]
    return int(mine.filter(word__lte=edge[0]).delete()[0]) if edge else 0
