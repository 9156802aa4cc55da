"""Who spoke when, from voice embeddings: for providers that tell no speakers apart, and for the local engine.

Windows of 1.6 s every 0.4 s inside the speech regions, spectral clustering with an estimated number of voices
(AutoTune, Wang et al. 2022), voices that are one voice merged, then each 0.1 s decided by the windows over it with
a cost for changing speaker. Turns shorter than a window are blurred: their confidence is low, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from speakers.engines import VoiceEngine

WINDOW, STEP, FRAME = 1.6, 0.4, 0.1  # seconds
MOST_CLUSTERED = 600
"""Windows that the clustering sees (its cost grows with the cube); the others are assigned to the nearest voice."""

SAME_VOICE = {"resemblyzer": 0.85}
"""Cosine of two clusters' mean embeddings above which they are one voice. Resemblyzer: means of several utterances
of one reader agree by over 0.9, of different readers by under 0.78 (dependencies.md 5)."""
SAME_VOICE_OTHER_ENGINES = 0.65

CHANGE_COST = 0.5
"""Similarity (summed over 0.1 s frames) that a change of speaker must gain: half a second at a margin of 0.1."""
COMPETING = 0.06
"""Two voices compete where their similarities are nearer than this, for `SHORTEST_OVERLAP` seconds."""
SHORTEST_OVERLAP = 0.6


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds of the recording; speakers are numbered in the order in which they first speak.

    `confidence` in [0, 1]: how clearly this voice and no other, less for turns shorter than a window. `overlap`: two
    voices compete here, and `speaker` is only the likelier one.
    """

    start: float
    end: float
    speaker: int
    confidence: float
    overlap: bool = False


def diarize(
    pcm: NDArray[np.int16],
    regions: Sequence[tuple[float, float]],
    engine: VoiceEngine,
    max_speakers: int = 8,
) -> list[Turn]:
    """Turns of the 16 kHz mono `pcm`, sorted and not overlapping, that together cover the speech `regions` exactly.

    Empty without regions. An hour of speech takes 9000 embeddings (9 MB); memory beyond the audio stays under 200 MB.
    """
    if max_speakers < 1:
        raise ValueError("max_speakers must be at least 1")
    length = len(pcm) / 16_000
    inside = [(max(0.0, start), min(length, end)) for start, end in regions]
    regions = [(start, end) for start, end in sorted(inside) if end > start]
    if not regions:
        return []
    windows = [windows_of(start, end) for start, end in regions]
    embeddings = engine.embed_segments(pcm, [window for group in windows for window in group])
    voices = find_voices(embeddings, max_speakers, SAME_VOICE.get(engine.name, SAME_VOICE_OTHER_ENGINES))
    similarity = embeddings @ voices.T
    turns: list[Turn] = []
    at = 0
    for region, group in zip(regions, windows, strict=True):
        turns += _turns_of(region, group, similarity[at : at + len(group)])
        at += len(group)
    return _numbered(turns)


def windows_of(start: float, end: float) -> list[tuple[float, float]]:
    """The windows of a region; one that is the whole region when it is shorter than a window."""
    if end - start <= WINDOW:
        return [(start, end)]
    count = int(np.ceil((end - start - WINDOW) / STEP)) + 1
    starts = [min(start + index * STEP, end - WINDOW) for index in range(count)]
    return [(first, first + WINDOW) for first in starts]


def find_voices(embeddings: NDArray[np.float32], max_speakers: int, same_voice: float) -> NDArray[np.float32]:
    """L2-normalised mean embedding of each voice, (voices, dimension), at least one row, at most `max_speakers`.

    `embeddings` are normalised rows; rows of zeros (silence) are left out.
    """
    known = embeddings[np.linalg.norm(embeddings, axis=1) > 0]
    if len(known) == 0:
        return np.zeros((1, embeddings.shape[1]), np.float32)
    if len(known) > MOST_CLUSTERED:
        known = known[np.linspace(0, len(known) - 1, MOST_CLUSTERED).round().astype(int)]
    return _merged(known, _clustered(known, max_speakers), same_voice)


def _clustered(embeddings: NDArray[np.float32], max_speakers: int) -> NDArray[np.int64]:
    """A label for each row; too many clusters rather than too few (`_merged` follows)."""
    count = len(embeddings)
    if count == 1 or max_speakers == 1:
        return np.zeros(count, np.int64)
    if count < 8:  # too few for an eigengap
        from sklearn.cluster import AgglomerativeClustering

        plain = AgglomerativeClustering(
            n_clusters=None, distance_threshold=0.28, metric="cosine", linkage="average"
        ).fit_predict(embeddings)
        if plain.max() < max_speakers:
            return np.asarray(plain, np.int64)
        return np.asarray(AgglomerativeClustering(max_speakers, metric="cosine", linkage="average").fit_predict(embeddings))
    from spectralcluster import (
        AutoTune,
        LaplacianType,
        RefinementName,
        RefinementOptions,
        SpectralClusterer,
        SymmetrizeType,
        ThresholdType,
    )

    clusterer = SpectralClusterer(  # the settings of Turn-to-Diarize, spectralcluster's own configuration
        min_clusters=2,
        max_clusters=min(max_speakers, count - 1),
        autotune=AutoTune(p_percentile_min=0.40, p_percentile_max=0.95, init_search_step=0.05, search_level=1),
        laplacian_type=LaplacianType.GraphCut,
        refinement_options=RefinementOptions(
            thresholding_soft_multiplier=0.01,
            thresholding_type=ThresholdType.Percentile,
            thresholding_with_binarization=True,
            thresholding_preserve_diagonal=True,
            symmetrize_type=SymmetrizeType.Average,
            refinement_sequence=[RefinementName.RowWiseThreshold, RefinementName.Symmetrize],
        ),
        row_wise_renorm=True,
        custom_dist="cosine",
    )
    return np.asarray(clusterer.predict(embeddings.astype(np.float64)), np.int64)


def _merged(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], same_voice: float
) -> NDArray[np.float32]:
    """Mean embeddings of the clusters, the nearest two joined until no two are one voice."""
    sums = [embeddings[labels == label].sum(axis=0) for label in np.unique(labels)]
    while True:
        means = np.stack([total / np.linalg.norm(total) for total in sums])
        between = means @ means.T
        np.fill_diagonal(between, -1.0)
        first, second = np.unravel_index(int(between.argmax()), between.shape)
        if len(sums) == 1 or between[first, second] < same_voice:
            return means.astype(np.float32)
        sums[min(first, second)] = sums[first] + sums[second]
        del sums[max(first, second)]


def _turns_of(
    region: tuple[float, float], windows: list[tuple[float, float]], similarity: NDArray[np.float32]
) -> list[Turn]:
    start, end = region
    scores = _frame_scores(region, windows, similarity)
    path = _best_path(scores)
    if scores.shape[1] > 1:
        top = np.sort(scores, axis=1)
        margin = top[:, -1] - top[:, -2]
    else:
        margin = np.ones(len(scores), np.float32)
    competing = _long_runs(margin < COMPETING, round(SHORTEST_OVERLAP / FRAME))
    edges = np.flatnonzero((np.diff(path) != 0) | (np.diff(competing.astype(int)) != 0)) + 1
    turns = []
    for first, last in zip([0, *edges], [*edges, len(path)], strict=True):
        begin = start + first * FRAME
        finish = end if last == len(path) else start + last * FRAME
        clear = float(np.clip(margin[first:last].mean() / 0.2, 0.0, 1.0))
        confidence = clear * min(1.0, (finish - begin) / WINDOW)
        turns.append(Turn(begin, finish, int(path[first]), round(confidence, 3), bool(competing[first])))
    return turns


def _frame_scores(
    region: tuple[float, float], windows: list[tuple[float, float]], similarity: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(frames, voices): mean similarity of the windows over each frame, those centred on it counting most."""
    start, end = region
    middles = start + (np.arange(max(1, int(np.ceil((end - start) / FRAME - 1e-6)))) + 0.5) * FRAME
    centres = np.array([(first + last) / 2 for first, last in windows])
    weights = np.maximum(0.0, 1.0 - np.abs(middles[:, None] - centres[None]) / (WINDOW / 2))
    alone = weights.sum(axis=1) == 0  # the region's edges: the nearest window
    weights[alone, np.abs(middles[alone, None] - centres[None]).argmin(axis=1)] = 1.0
    scores: NDArray[np.float32] = ((weights / weights.sum(axis=1, keepdims=True)) @ similarity).astype(np.float32)
    return scores


def _best_path(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Viterbi: the voice of each frame, with `CHANGE_COST` for each change."""
    frames, voices = scores.shape
    best = scores[0].copy()
    came = np.zeros((frames, voices), np.int64)
    for frame in range(1, frames):
        leader = int(best.argmax())
        change = best[leader] - CHANGE_COST
        stays = best >= change
        came[frame] = np.where(stays, np.arange(voices), leader)
        best = np.where(stays, best, change) + scores[frame]
    path = np.empty(frames, np.int64)
    path[-1] = int(best.argmax())
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = came[frame, path[frame]]
    return path


def _long_runs(flags: NDArray[np.bool_], shortest: int) -> NDArray[np.bool_]:
    kept = np.zeros_like(flags)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(int), [0]))))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        kept[first:last] = last - first >= shortest
    return kept


def _numbered(turns: list[Turn]) -> list[Turn]:
    order: dict[int, int] = {}
    for turn in turns:
        order.setdefault(turn.speaker, len(order))
    return [
        Turn(round(t.start, 3), round(t.end, 3), order[t.speaker], t.confidence, t.overlap) for t in turns
    ]
