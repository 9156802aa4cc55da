"""Titles: the nouns that a talk is about, taken from its most central sentences (as KeyBERT takes phrases)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from memories.structuring.centrality import Floats
from memories.structuring.sentences import Sentence, tidy
from memories.structuring.tongues.base import Tongue
from memories.structuring.tongues.en import ENGLISH_TONGUE
from memories.structuring.words import STOP_WORDS, words

CANDIDATES = 48
"""Phrases that are embedded."""
SENTENCES = 12
"""Most central sentences that phrases are taken from."""
ANNOUNCED, FIRST = 0.3, 0.15
"""What it adds to a phrase that somebody says what the talk is about, and that it stands in the most central sentence.
"""
LONGEST = 7
"""Words of a phrase."""
CHARACTERS = 100
_CUE = re.compile(
    r"\b(?:(?:talk|talking|calling|here|it's|it is|question|speak) about|topic is|want to explain|es geht um"
    r"|sprechen (?:wir )?über"
    r"|hablar de|se trata de|parler de|il s'agit de) ?",
    re.IGNORECASE,
)
_NOUN_WORDS = {"en": 3, "de": 2, "es": 2, "fr": 2}

_EMPTY = frozenset(
    """
        monday tuesday wednesday thursday friday saturday sunday today tomorrow tonight yesterday week weeks weekend
        month
        months next last morning afternoon evening night one two three four five six seven eight nine ten eleven
        twelve end
        forget remember remind hello hi bye best wishes sounds wonderful perfect much long day days another thing
        things lot
        little bit hundred thousand time times way same other quarter half something anything nothing first second
        third few couple minute minutes hour hours
        montag dienstag mittwoch donnerstag freitag samstag sonntag heute morgen gestern woche uhr tag tage zeit ende
        lunes martes miércoles jueves viernes sábado domingo hoy mañana ayer semana día vez tarde noche
        lundi mardi mercredi jeudi vendredi samedi dimanche aujourd'hui demain hier semaine heures jour fois fin
        matin soir
    """.split()
)
"""Words that make a poor title: when, how much, greetings. A phrase with one of them is no title."""


def title(
    best: Sequence[Sentence],
    talk: Sequence[Sentence],
    centre: Floats,
    embed: Callable[[Sequence[str]], Floats],
    tongue: Tongue = ENGLISH_TONGUE,
) -> str:
    """Up to two noun phrases of ``best``; of a short talk, and where there are none, its own first words."""
    named = _announced(talk, tongue)
    worth: dict[str, float] = dict.fromkeys(named, ANNOUNCED)
    for place, sentence in enumerate(best[:SENTENCES]):
        for phrase in phrases(tidy(sentence.text, tongue), tongue):
            worth.setdefault(phrase, FIRST * (1 - place / SENTENCES))
    found = list(worth)[:CANDIDATES]
    if not found or len(talk) < 3:
        return _capital(" ".join(tidy(best[0].text, tongue).rstrip(".!?,;").split()[:8]))[:CHARACTERS]
    vectors = embed(found)
    spread = Counter(word for sentence in talk for word in set(sentence.words))
    # Nearness to the whole, words that come back, and a little for saying more.
    weights = vectors @ centre + np.array(
        [0.08 * repeated(it, spread) + 0.04 * min(4, len(words(it))) + worth[it] for it in found]
    )
    chosen: list[str] = []
    for index in np.argsort(-weights, kind="stable"):
        content = set(words(found[index])) - STOP_WORDS
        if len(chosen) < 2 and not any(content & set(words(other)) for other in chosen):
            chosen.append(found[index])
    return _capital(", ".join(chosen))[:CHARACTERS]


def phrases(text: str, tongue: Tongue = ENGLISH_TONGUE) -> list[str]:
    """Noun phrases: what follows a determiner up to the next small word or verb, with one that a preposition adds
    ("letter to the parents"). Case is kept."""
    found: list[str] = []
    for clause in _clauses(text):
        at = 0
        while at < len(clause):
            if clause[at].casefold() not in tongue.determiners:
                at += 1
                continue
            end = _noun(clause, at + 1, tongue)
            if end > at + 1:
                added = _added(clause, end, tongue)
                more = _added(clause, added, tongue) if added > end else added
                found.append(" ".join(clause[at + 1 : more if more - at <= LONGEST else added]))
            at = max(end, at + 1)
    return [phrase for phrase in dict.fromkeys(found) if len(phrase) > 3]


def _announced(talk: Sequence[Sentence], tongue: Tongue) -> list[str]:
    """What somebody says that the talk is about: "today we will talk about the printing press"."""
    found: list[str] = []
    for sentence in talk:
        cue = _CUE.search(sentence.text)
        if cue and len(found) < CANDIDATES // 4:
            found += phrases(tidy(sentence.text[cue.end() :], tongue), tongue)[:1]
    return found


def repeated(phrase: str, spread: Counter[str]) -> float:
    """How often the content words of a phrase come back: mean of ``min(sentences - 1, 3)``. ``spread`` counts the
    sentences that hold a word."""
    content = [word for word in words(phrase) if word not in STOP_WORDS]
    return sum(min(max(spread[word] - 1, 0), 3) for word in content) / max(1, len(content))


def _noun(clause: Sequence[str], start: int, tongue: Tongue) -> int:
    """Where the noun that begins at ``start`` ends; ``start`` where none does."""
    end = start
    while end < len(clause) and end - start < _NOUN_WORDS[tongue.code]:
        word = clause[end].casefold()
        if word in STOP_WORDS or word in _EMPTY or word in tongue.verbs or word in tongue.numbers or word[:1].isdigit():
            break
        if tongue.code == "en" and ((end > start and word.endswith("ed")) or (end == start and "'" in word)):
            break
        end += 1
        if tongue.code == "de" and clause[end - 1][:1].isupper():
            return end  # German writes its nouns with a capital
    if tongue.code == "de":
        return start
    if tongue.code in ("es", "fr") and end - start == 2 and clause[end - 1].casefold() not in tongue.determiners:
        return start + 1  # what follows a noun may be a verb
    return end


def _added(clause: Sequence[str], end: int, tongue: Tongue) -> int:
    """The end with what a preposition adds to a noun: "to the parents", "of the kitchen"."""
    if end >= len(clause) - 1 or clause[end].casefold() not in _ADDS[tongue.code]:
        return end
    start = end + 1
    if clause[start].casefold() in tongue.determiners and start + 1 < len(clause):
        start += 1
    added = _noun(clause, start, tongue)
    return added if added > start else end


_ADDS = {
    "en": frozenset("of to for with from in about".split()),
    "de": frozenset("der des von mit für zum zur beim in".split()),
    "es": frozenset("de del con para a al".split()),
    "fr": frozenset("de du des d' avec pour à au".split()),
}


def _clauses(text: str) -> Iterator[list[str]]:
    clause: list[str] = []
    for token in text.replace("l'", "l' ").replace("d'", "d' ").split():
        bare = token.strip(',.;:!?"()…“”«»¿¡')
        if bare:
            clause.append(bare)
        if token[-1:] in ",.;:!?…":
            yield clause
            clause = []
    yield clause


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
