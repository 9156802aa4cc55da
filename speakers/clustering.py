"""Spectral clustering that tunes itself: how many voices there are, and which window belongs to which.

NME-SC, "Auto-Tuning Spectral Clustering for Speaker Diarization Using Normalized Maximum Eigengap" (Park et al., IEEE
SPL 2020, arXiv:2003.02405), in NumPy: scikit-learn and SciPy, which the ready-made packages need, would take 194 MB for
one k-means and one eigenvalue problem (docs/decisions/). ``tests/engines`` holds it against such a package.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]

MAX_WINDOWS = 800
"""Above this many rows the caller clusters a sample and assigns the rest: the eigenvalue problem is cubic."""

ONE_VOICE_SIMILARITY = 0.70
"""Mean cosine similarity above which everything is one voice: between 1.6 s windows of the bundled engine the same
voice averages 0.80, different voices 0.53 (docs/speakers.md)."""


SAME_VOICE_CENTROIDS = 0.85
"""Cosine similarity of two clusters' centroids above which they are one voice that was split."""


def cluster(
    embeddings: NDArray[np.floating],
    *,
    max_clusters: int = 8,
    one_voice: float = ONE_VOICE_SIMILARITY,
    same_voice: float = SAME_VOICE_CENTROIDS,
) -> Labels:
    """Cluster number (0..k-1, in order of first appearance) of each L2-normalised row.

    Deterministic. Raises ValueError above ``MAX_WINDOWS`` rows.
    """
    rows = len(embeddings)
    if rows > MAX_WINDOWS:
        raise ValueError(f"{rows} windows are more than {MAX_WINDOWS}: cluster a sample of them")
    if rows < 4:
        return np.zeros(rows, np.int64)
    data = np.asarray(embeddings, np.float64)
    affinity = np.clip(data @ data.T, -1.0, 1.0)
    if (affinity.sum() - np.trace(affinity)) / (rows * (rows - 1)) >= one_voice:
        return np.zeros(rows, np.int64)
    count, vectors = _auto_tune(affinity, max_clusters)
    if count == 1:
        return np.zeros(rows, np.int64)
    labels = _merge_alike(data, _k_means(vectors[:, :count], count), same_voice)
    return _in_order_of_appearance(labels)


def _merge_alike(data: Floats, labels: Labels, same_voice: float) -> Labels:
    """Join, closest first, clusters whose centroids are one voice's: short noisy recordings come out over-split."""
    labels = labels.copy()
    while True:
        names = np.unique(labels)
        centroids = np.array([data[labels == name].mean(axis=0) for name in names])
        centroids /= np.linalg.norm(centroids, axis=1, keepdims=True) + 1e-12
        likeness = centroids @ centroids.T - 2.0 * np.eye(len(names))
        first, second = np.unravel_index(int(likeness.argmax()), likeness.shape)
        if likeness[first, second] < same_voice:
            return labels
        labels[labels == names[second]] = names[first]


def _auto_tune(affinity: Floats, max_clusters: int) -> tuple[int, Floats]:
    """The number of neighbours ``p`` whose graph has the largest normalised eigengap for its density, and its spectrum."""
    rows = len(affinity)
    ranks = np.argsort(np.argsort(-affinity, axis=1), axis=1)  # 0 for the row itself
    best: tuple[float, int, Floats] | None = None
    for p in _candidates(rows):
        binary = (ranks < p).astype(np.float64)
        graph = (binary + binary.T) / 2.0
        np.fill_diagonal(graph, 0.0)
        laplacian = np.diag(graph.sum(axis=1)) - graph
        values, vectors = np.linalg.eigh(laplacian)
        gaps = np.diff(values[: min(max_clusters, rows - 1) + 1])
        gap = float(gaps.max()) / (float(values[-1]) + 1e-10)
        ratio = (p / rows) / (gap + 1e-10)
        if best is None or ratio < best[0]:
            best = (ratio, int(gaps.argmax()) + 1, vectors)
    assert best is not None
    return best[1], best[2]


def _candidates(rows: int) -> list[int]:
    """Neighbour counts to try: from 3 to half of the rows, at most 20 of them."""
    return sorted({int(value) for value in np.linspace(3, max(4, rows // 2), 20)})


def _k_means(points: Floats, count: int, *, tries: int = 8, rounds: int = 100) -> Labels:
    """Lloyd's algorithm from k-means++ starts, the tightest of ``tries``."""
    random = np.random.default_rng(0)
    best: tuple[float, Labels] | None = None
    for _ in range(tries):
        centres = _spread_start(points, count, random)
        labels = np.zeros(len(points), np.int64)
        for turn in range(rounds):
            distances = ((points[:, None, :] - centres[None]) ** 2).sum(axis=2)
            nearest = distances.argmin(axis=1)
            if turn and np.array_equal(nearest, labels):
                break
            labels = nearest
            for index in range(count):
                members = points[labels == index]
                centres[index] = members.mean(axis=0) if len(members) else points[distances.min(axis=1).argmax()]
        inertia = float(((points - centres[labels]) ** 2).sum())
        if best is None or inertia < best[0] - 1e-12:
            best = (inertia, labels)
    assert best is not None
    return best[1]


def _spread_start(points: Floats, count: int, random: np.random.Generator) -> Floats:
    centres = [points[random.integers(len(points))]]
    while len(centres) < count:
        distance = np.min([((points - centre) ** 2).sum(axis=1) for centre in centres], axis=0)
        total = distance.sum()
        chosen = random.choice(len(points), p=distance / total) if total > 0 else random.integers(len(points))
        centres.append(points[chosen])
    return np.array(centres)


def _in_order_of_appearance(labels: Labels) -> Labels:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    order = np.argsort(np.argsort(first))
    return order[inverse].astype(np.int64)
