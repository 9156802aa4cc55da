"""The sections of a summary template without a language model: sentences of the talk itself, chosen by rule.

Each section says by which rule it is filled. A sentence stands in one section only, word by word and with its moment;
where nothing fits a section is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from memories.document_parts import Point, Section
from memories.shapes import Structured
from memories.structuring.base import Wanted
from memories.structuring.centrality import Floats, central, choose
from memories.structuring.overview import DECIDED, FIGURE, SMALL_TALK
from memories.structuring.sentences import Sentence
from memories.structuring.words import STOP_WORDS, words

RULES: Final = ("gist", "tasks", "dates", "decisions", "questions", "figures", "alike")
"""``gist``: what says most of the talk; ``tasks``, ``dates``: its action items and events; ``decisions``,
``questions``, ``figures``: sentences of this form; ``alike``: sentences near to the heading and its instruction."""
MOST_POINTS: Final = 8
"""Of one section."""
GIST: Final = 4
"""Sentences that say what it was about, and at most half of them all."""
WORTH_TELLING: Final = 0.2
"""Of the best sentence's weight: a weaker one is left out."""
NEAR: Final = 0.3
"""Cosine from which a sentence belongs to a section."""
SHARED: Final = 0.08
"""What each word adds that the sentence has in common with heading and instruction."""
FEWEST_WORDS: Final = 4

Embed = Callable[[Sequence[str]], Floats]
Form = Callable[[Sentence], bool]
Worth = Callable[[Sentence], float]
_FORMS: Final[dict[str, Form]] = {
    "decisions": lambda it: bool(DECIDED.search(it.text)) and not _asks(it),
    "questions": lambda it: _asks(it),
    "figures": lambda it: bool(FIGURE.search(it.text)) and not _asks(it),
}


def fill(
    talk: Sequence[Sentence], wanted: Sequence[Wanted], made: Structured, embed: Embed, worth: Worth
) -> list[Section]:
    """The sections that are wanted, in order. ``talk``: sentences, a hundred or so; ``embed`` gives unit vectors,
    ``worth`` how well a sentence stands by itself (a factor, 0 for not at all)."""
    free = [it for it in talk if len(it.words) >= FEWEST_WORDS and not SMALL_TALK.search(it.text)]
    vectors = embed([it.text for it in free]) if free else np.zeros((0, 1))
    taken: set[int] = set()
    filled: dict[int, list[Point]] = {}
    for at, section in enumerate(wanted):
        if section.rule in _FORMS:
            chosen = [n for n, it in enumerate(free) if n not in taken and _FORMS[section.rule](it)][:MOST_POINTS]
            filled[at] = _points(free, chosen)
            taken |= set(chosen)
        elif section.rule == "tasks":
            filled[at] = [Point(text=item.description) for item in made.action_items[:MOST_POINTS]]
        elif section.rule == "dates":
            told = [f"{event.title}, {event.start:%Y-%m-%d %H:%M}" for event in made.events[:MOST_POINTS]]
            filled[at] = [Point(text=text) for text in told]
    for at, near in _alike(free, vectors, taken, wanted, embed).items():
        filled[at] = _points(free, near)
        taken |= set(near)
    weights = central(vectors) * np.array([worth(it) for it in free])
    for at in (at for at, section in enumerate(wanted) if section.rule == "gist"):
        left = np.array([0.0 if n in taken else weights[n] for n in range(len(free))])
        most = min(GIST, -(-len(free) // 2))
        chosen = [n for n in choose(left, vectors, most) if left[n] >= WORTH_TELLING * left.max() > 0] if free else []
        filled[at] = _points(free, chosen)
        taken |= set(chosen)
    return [Section(heading=section.heading, points=filled.get(at, [])) for at, section in enumerate(wanted)]


def _alike(
    free: Sequence[Sentence], vectors: Floats, taken: set[int], wanted: Sequence[Wanted], embed: Embed
) -> dict[int, list[int]]:
    """For each section of this rule the sentences that are nearer to it than to the others, most first kept."""
    sections = [at for at, section in enumerate(wanted) if section.rule == "alike"]
    if not sections or not free:
        return {}
    asked = [f"{wanted[at].heading}. {wanted[at].instruction}".strip() for at in sections]
    likeness = vectors @ embed(asked).T
    cues = [set(words(text)) - STOP_WORDS for text in asked]
    for row, it in enumerate(free):
        said = set(it.words)
        for column, cue in enumerate(cues):
            likeness[row, column] += SHARED * len(said & cue)
    best = likeness.argmax(1)
    found: dict[int, list[int]] = {}
    for column, at in enumerate(sections):
        mine = [n for n in range(len(free)) if n not in taken and best[n] == column and likeness[n, column] >= NEAR]
        mine.sort(key=lambda n: -likeness[n, column])
        found[at] = sorted(mine[:MOST_POINTS])
    return found


def _points(free: Sequence[Sentence], chosen: Sequence[int]) -> list[Point]:
    return [Point(text=free[n].text, start=round(free[n].start, 2)) for n in chosen]


def _asks(it: Sentence) -> bool:
    return it.text.rstrip().endswith(("?", "？"))
