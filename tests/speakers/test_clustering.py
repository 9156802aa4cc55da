"""Spectral clustering of voice embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from speakers.clustering import MAX_WINDOWS, cluster


def voices(counts: list[int], *, spread: float = 0.5, dimension: int = 64, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around ``len(counts)`` centres with a cosine of about 0.5 between them, as real voices have."""
    random = np.random.default_rng(seed)
    common = random.normal(size=dimension)
    rows, labels = [], []
    for index, count in enumerate(counts):
        centre = common + random.normal(size=dimension)
        for _ in range(count):
            rows.append(centre + spread * random.normal(size=dimension))
            labels.append(index)
    data = np.array(rows)
    return data / np.linalg.norm(data, axis=1, keepdims=True), np.array(labels)


@pytest.mark.parametrize("counts", [[30], [30, 25], [12, 40, 20], [15, 15, 15, 15]])
def test_finds_the_number_of_voices_and_who_is_who(counts: list[int]) -> None:
    """On at least 18 of 20 drawings: the method is statistical, and one unlucky drawing must not decide."""
    right = 0
    for seed in range(20):
        data, truth = voices(counts, seed=seed)
        right += cluster(data, one_voice=0.75).tolist() == truth.tolist()
    assert right >= 18


def test_labels_are_numbered_in_order_of_appearance_and_do_not_change_between_calls() -> None:
    data, _ = voices([20, 20])
    shuffled = data[np.random.default_rng(1).permutation(len(data))]
    first = cluster(shuffled)
    assert first[0] == 0
    assert first.tolist() == cluster(shuffled).tolist()


@pytest.mark.parametrize("rows", [0, 1, 2, 3])
def test_a_few_windows_are_one_voice(rows: int) -> None:
    data, _ = voices([5])
    assert cluster(data[:rows]).tolist() == [0] * rows


def test_identical_rows_are_one_voice() -> None:
    assert set(cluster(np.tile(np.eye(8)[0], (40, 1))).tolist()) == {0}


def test_refuses_what_would_take_minutes() -> None:
    with pytest.raises(ValueError, match="sample"):
        cluster(np.ones((MAX_WINDOWS + 1, 4)))


def test_never_more_clusters_than_asked_for() -> None:
    data, _ = voices([10, 10, 10, 10, 10], spread=0.2)
    assert len(set(cluster(data, max_clusters=3).tolist())) <= 3
