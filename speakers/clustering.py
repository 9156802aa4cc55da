"""Average-linkage agglomerative clustering in NumPy.

The ready-made ones need scikit-learn or SciPy, 194 MB on disk for this one function (docs/decisions/0003). A test holds
it against a naive implementation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def average_linkage(similarity: NDArray[np.floating], threshold: float) -> NDArray[np.int64]:
    """Cluster number (0..k-1, in order of first appearance) of each row of a symmetric ``similarity`` matrix.

    Two clusters are joined while the mean similarity between their members is at least ``threshold``. The
    nearest-neighbour chain algorithm (Benzécri 1982): exact for average linkage, quadratic in time and memory.
    """
    rows = len(similarity)
    between = np.array(similarity, np.float64)
    np.fill_diagonal(between, -np.inf)
    sizes = np.ones(rows)
    joins: list[tuple[int, int, float]] = []
    chain: list[int] = []
    alive = np.ones(rows, bool)
    for _ in range(rows - 1):
        if not chain:
            chain.append(int(alive.argmax()))
        while True:
            nearest = int(between[chain[-1]].argmax())
            # On a tie with the one before, stop: the chain must not walk in a circle.
            if len(chain) > 1 and between[chain[-1], nearest] <= between[chain[-1], chain[-2]]:
                break
            chain.append(nearest)
        first, second = chain.pop(), chain.pop()
        joins.append((first, second, float(between[first, second])))
        merged = (sizes[first] * between[first] + sizes[second] * between[second]) / (sizes[first] + sizes[second])
        merged[~alive] = -np.inf
        merged[[first, second]] = -np.inf
        between[second], between[:, second] = merged, merged
        between[first], between[:, first] = -np.inf, -np.inf
        sizes[second] += sizes[first]
        alive[first] = False
    return _cut(rows, joins, threshold)


def _cut(rows: int, joins: list[tuple[int, int, float]], threshold: float) -> NDArray[np.int64]:
    """Union the joins that are near enough; a join's rows stand for the clusters that they are in."""
    parent = list(range(rows))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for first, second, likeness in sorted(joins, key=lambda join: -join[2]):
        if likeness >= threshold:
            parent[root(first)] = root(second)
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(row), len(numbers)) for row in range(rows)], np.int64)
