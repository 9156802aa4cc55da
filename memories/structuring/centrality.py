"""Which sentences say most of what the others say (LexRank: Erkan and Radev, 2004), and key phrases among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from memories.structuring.sentences import words

Floats = npt.NDArray[np.float64]
DAMPING = 0.85
STOP_WORDS = frozenset(
    """
        a about after again all also am an and any are as at be because been before being but by can could did do does
        doing down for from further get go going good got had has have he hello her here him his how i i'll i'm if in
        into is it it's its just let like me mean more most much must my need no nor not now of off ok okay on once
        only or other our out over own please really right said same say see she should so some such sure than thank
        thanks that that's the their them then there these they thing think this those through to too uh um under
        until up us very was way we well were what when where which while who why will with would yeah yes you your
    """.split()
)

_EMPTY = frozenset(
    """
        monday tuesday wednesday thursday friday saturday sunday today tomorrow tonight yesterday week weekend month
        next last morning afternoon evening one two three four five six seven eight nine ten eleven twelve end forget
        remember remind hello hi bye best wishes sounds wonderful perfect much long day days another thing things lot
        little bit i'm i've we'll we're you're he's she's who's what's agree i
    """.split()
)
"""Words that make a poor title: when, how much, greetings. A phrase with one of them, or with "I", is no title."""


def tfidf(texts: Sequence[str]) -> Floats:
    """Unit rows of word TF-IDF, any script. Shape (texts, vocabulary); no vocabulary gives one zero column."""
    vocabulary: dict[str, int] = {}
    counts: list[dict[int, float]] = []
    for text in texts:
        row: dict[int, float] = {}
        for word in words(text):
            if word not in STOP_WORDS:
                at = vocabulary.setdefault(word, len(vocabulary))
                row[at] = row.get(at, 0.0) + 1.0
        counts.append(row)
    matrix = np.zeros((len(texts), max(1, len(vocabulary))))
    for index, row in enumerate(counts):
        for at, count in row.items():
            matrix[index, at] = count
    matrix *= np.log((1 + len(texts)) / (1 + (matrix > 0).sum(0))) + 1
    return unit(matrix)


def unit(matrix: npt.NDArray[Any]) -> Floats:
    values = np.asarray(matrix, np.float64)
    norms = np.linalg.norm(values, axis=-1, keepdims=True)
    scaled: Floats = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return scaled


def central(vectors: Floats) -> Floats:
    """Stationary weight of each row of a similarity graph; sums to 1. Rows are unit vectors."""
    count = len(vectors)
    if count == 0:
        return np.zeros(0)
    likeness = np.clip(vectors @ vectors.T, 0.0, None)
    np.fill_diagonal(likeness, 0.0)
    sums = likeness.sum(1, keepdims=True)
    moves = np.divide(likeness, sums, out=np.full_like(likeness, 1.0 / count), where=sums > 0)
    weights = np.full(count, 1.0 / count)
    for _ in range(50):
        weights = (1 - DAMPING) / count + DAMPING * moves.T @ weights
    return weights


def choose(weights: Floats, vectors: Floats, count: int, *, alike: float = 0.75) -> list[int]:
    """The heaviest rows, in their own order, leaving out what a chosen one already says."""
    chosen: list[int] = []
    for index in np.argsort(-weights, kind="stable"):
        if len(chosen) == count:
            break
        if all(float(vectors[index] @ vectors[other]) < alike for other in chosen):
            chosen.append(int(index))
    return sorted(chosen)


def phrases(text: str, *, longest: int = 4) -> list[str]:
    """Runs of words that neither begin nor end in a stop word and hold at most one, for titles. Case is kept."""
    found: list[str] = []
    for clause in _clauses(text):
        for start in range(len(clause)):
            for end in range(start + 1, min(len(clause), start + longest) + 1):
                run = clause[start:end]
                edges = {run[0].lower(), run[-1].lower()}
                stops = sum(word.lower() in STOP_WORDS for word in run)
                if (
                    len(run) > 1
                    and stops <= 2
                    and not edges & STOP_WORDS
                    and not _EMPTY & {word.lower() for word in run}
                ):
                    found.append(" ".join(run))
    return list(dict.fromkeys(found))


def repeated(phrase: str, texts: Sequence[str]) -> float:
    """How often the content words of a phrase come back in the talk: mean of ``min(times - 1, 3)``."""
    content = [word for word in words(phrase) if word not in STOP_WORDS]
    spread = [sum(word in words(text) for text in texts) for word in content]
    return sum(min(max(times - 1, 0), 3) for times in spread) / max(1, len(content))


def _clauses(text: str) -> list[list[str]]:
    clauses: list[list[str]] = [[]]
    for token in text.split():
        bare = token.strip(",.;:!?\"'()…")
        if bare:
            clauses[-1].append(bare)
        if token[-1:] in ",.;:!?…":
            clauses.append([])
    return clauses
