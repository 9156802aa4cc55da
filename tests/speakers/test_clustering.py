"""Average-linkage clustering, held against the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speakers.clustering import average_linkage


def naive(similarity: np.ndarray, threshold: float) -> list[set[int]]:
    clusters = [{row} for row in range(len(similarity))]
    while len(clusters) > 1:
        pairs = [
            (np.mean([similarity[a, b] for a in one for b in other]), i, i + 1 + j)
            for i, one in enumerate(clusters)
            for j, other in enumerate(clusters[i + 1 :])
        ]
        likeness, i, j = max(pairs)
        if likeness < threshold:
            break
        clusters[i] |= clusters.pop(j)
    return clusters


@given(st.integers(0, 2**32 - 1), st.integers(1, 14), st.floats(-0.2, 0.9))
@settings(max_examples=60, deadline=None)
def test_agrees_with_the_definition(seed: int, rows: int, threshold: float) -> None:
    data = np.random.default_rng(seed).normal(size=(rows, 3))
    data /= np.linalg.norm(data, axis=1, keepdims=True)
    labels = average_linkage(data @ data.T, threshold)
    found = {frozenset(np.flatnonzero(labels == label).tolist()) for label in set(labels.tolist())}
    assert found == {frozenset(cluster) for cluster in naive(data @ data.T, threshold)}


def test_labels_are_numbered_in_order_of_appearance() -> None:
    groups = np.array([0, 1, 0, 2, 1])
    similarity = (groups[:, None] == groups[None]).astype(float)
    assert average_linkage(similarity, 0.5).tolist() == [0, 1, 0, 2, 1]


@pytest.mark.parametrize("rows", [0, 1])
def test_nothing_and_one_row(rows: int) -> None:
    assert average_linkage(np.ones((rows, rows)), 0.5).tolist() == [0] * rows


def test_identical_rows_are_one_cluster_and_the_chain_ends() -> None:
    assert set(average_linkage(np.ones((50, 50)), 0.5).tolist()) == {0}
