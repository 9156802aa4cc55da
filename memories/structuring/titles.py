"""Titles: key phrases of the talk's most central sentences (as KeyBERT does)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from memories.structuring.centrality import STOP_WORDS, Floats
from memories.structuring.sentences import Sentence, words

CANDIDATES = 48
"""Phrases that are embedded."""
SENTENCES = 8
"""Most central sentences that phrases are taken from."""
LONGEST = 5
"""Words of a phrase."""

_EMPTY = frozenset(
    """
        monday tuesday wednesday thursday friday saturday sunday today tomorrow tonight yesterday week weekend month
        next last morning afternoon evening one two three four five six seven eight nine ten eleven twelve end forget
        remember remind hello hi bye best wishes sounds wonderful perfect much long day days another thing things lot
        little bit i'm i've we'll we're you're he's she's who's what's agree i hundred thousand
        montag dienstag mittwoch donnerstag freitag samstag sonntag heute morgen gestern woche uhr
        lunes martes miércoles jueves viernes sábado domingo hoy mañana ayer semana
        lundi mardi mercredi jeudi vendredi samedi dimanche aujourd'hui demain hier semaine heures
    """.split()
)
"""Words that make a poor title: when, how much, greetings. A phrase with one of them is no title."""


def title(best: Sequence[Sentence], talk: Sequence[Sentence], centre: Floats, embed: Callable[[Sequence[str]], Floats]) -> str:
    """Up to two key phrases of ``best``; of a short talk its own words."""
    found = list(dict.fromkeys(phrase for sentence in best[:SENTENCES] for phrase in phrases(sentence.text)))[:CANDIDATES]
    if not found or len(talk) < 3:
        return _capital(" ".join(best[0].text.rstrip(".!?,;").split()[:8]))[:120]
    vectors = embed(found)
    spread = Counter(word for sentence in talk for word in set(sentence.words))
    # Nearness to the whole, words that come back, and a little for saying more.
    weights = vectors @ centre + np.array([0.05 * repeated(it, spread) + 0.03 * len(it.split()) for it in found])
    chosen: list[str] = []
    for index in np.argsort(-weights, kind="stable"):
        content = set(words(found[index])) - STOP_WORDS
        if len(chosen) < 2 and not any(content & set(words(other)) for other in chosen):
            chosen.append(found[index])
    return _capital(", ".join(chosen))[:120]


def phrases(text: str, *, longest: int = LONGEST) -> list[str]:
    """Runs of words that neither begin nor end in a stop word and hold at most two, for titles. Case is kept."""
    found: list[str] = []
    for clause in _clauses(text):
        for start in range(len(clause)):
            for end in range(start + 2, min(len(clause), start + longest) + 1):
                if _is_phrase(clause[start:end]):
                    found.append(" ".join(clause[start:end]))
    return list(dict.fromkeys(found))


def repeated(phrase: str, spread: Counter[str]) -> float:
    """How often the content words of a phrase come back: mean of ``min(sentences - 1, 3)``. ``spread`` counts the
    sentences that hold a word."""
    content = [word for word in words(phrase) if word not in STOP_WORDS]
    return sum(min(max(spread[word] - 1, 0), 3) for word in content) / max(1, len(content))


def _is_phrase(run: Sequence[str]) -> bool:
    lower = [word.lower() for word in run]
    stops = sum(word in STOP_WORDS for word in lower)
    return stops <= 2 and not {lower[0], lower[-1]} & STOP_WORDS and not _EMPTY & set(lower)


def _clauses(text: str) -> Iterable[list[str]]:
    clause: list[str] = []
    for token in text.split():
        bare = token.strip(",.;:!?\"'()…“”«»¿¡")
        if bare:
            clause.append(bare)
        if token[-1:] in ",.;:!?…":
            yield clause
            clause = []
    yield clause


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
