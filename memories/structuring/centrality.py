"""Which sentences say most of what the others say (LexRank: Erkan and Radev, 2004)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from memories.structuring.words import STOP_WORDS, words

Floats = npt.NDArray[np.float64]
DAMPING = 0.85


def telling(texts: Sequence[str]) -> Floats:
    """How much of the talk's words each text holds, in one pass: the cosine of its TF-IDF row with the sum of all rows.

    For choosing among many sentences which are worth a place in the similarity graph (the centroid of Radev et al.,
    2004); its time and memory grow with the number of words, where a table of all texts and words does not.
    """
    rows = [Counter(word for word in words(text) if word not in STOP_WORDS) for text in texts]
    held = Counter(word for row in rows for word in row)
    rarity = {word: math.log((1 + len(texts)) / (1 + count)) + 1 for word, count in held.items()}
    norms = [math.sqrt(sum((count * rarity[word]) ** 2 for word, count in row.items())) or 1.0 for row in rows]
    centre: dict[str, float] = {}
    for row, norm in zip(rows, norms, strict=True):
        for word, count in row.items():
            centre[word] = centre.get(word, 0.0) + count * rarity[word] / norm
    whole = math.sqrt(sum(value * value for value in centre.values())) or 1.0
    return np.array(
        [
            sum(count * rarity[word] * centre[word] for word, count in row.items()) / norm / whole
            for row, norm in zip(rows, norms, strict=True)
        ]
    )


def unit(matrix: npt.NDArray[Any]) -> Floats:
    """Return the rows scaled to unit length as float64; a row of zeros stays one."""
    values = np.asarray(matrix, np.float64)
    norms = np.linalg.norm(values, axis=-1, keepdims=True)
    scaled: Floats = np.divide(values, norms, out=np.zeros_like(values), where=norms > 0)
    return scaled


def central(vectors: Floats) -> Floats:
    """Stationary weight of each row of a similarity graph; sums to 1. Rows are unit vectors, a hundred or so: the graph
    grows with their square."""
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
