"""Who spoke when, from voice embeddings: for providers that tell no speakers apart, and for the local engine.

Windows of 1.6 s every 0.4 s inside the speech regions, agglomerative clustering (average linkage), clusters whose
means are one voice joined, then each 0.1 s decided by the windows over it with a cost for changing speaker. Turns
shorter than a window are blurred: their confidence is low, and says so.

Why not spectral clustering (spectralcluster with AutoTune, or NME-SC; docs/decisions/0003): on 12 mixtures of 1-4
readers, 10-60 s each, AutoTune found the number of voices 8 times and confused 20 s of speech in all, this (without
the rule for small groups) 10 times and 0.2 s. Clustering alone over-splits; joining by the means, and leaving out
small groups, is what makes it work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speakers.clustering import average_linkage
from speakers.engines.scale import scale_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from speakers.engines import VoiceEngine
    from speakers.engines.scale import Scale

WINDOW, STEP, FRAME = 1.6, 0.4, 0.1  # seconds
MOST_CLUSTERED = 1500
"""Windows that the clustering sees (its cost grows with the square); the others go to the nearest voice. Ten minutes
of speech are seen whole."""

LEAST_WINDOWS, LEAST_SHARE = 6, 0.15
"""A group of fewer windows (3.6 s), and less than this share of all, is no voice: laughter, two at once, a word at the
edge. Chosen on 13 conversations of the choosing half: with it the number of voices is right 12 times, without it 2."""

RARE_WINDOWS = 3
"""Except where a group of at least this many windows (2.4 s) is like no other voice (`Scale.window`): somebody who says
one sentence. Chosen on 24 conversations of the choosing half, half of them with a guest of 2 to 3.4 s
(docs/speakers.md): 2 windows give more false voices, 4 lose more guests."""

CHANGE_COST = 0.5
"""Similarity (summed over 0.1 s frames) that a change of speaker must gain: half a second at a margin of 0.1."""
COMPETING = 0.06
"""Two voices compete where their similarities are nearer than this, for `SHORTEST_OVERLAP` seconds."""
SHORTEST_OVERLAP = 0.6


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds of the recording; speakers are numbered in the order in which they first speak.

    `confidence` in [0, 1]: how clearly this voice and no other, less for turns shorter than a window. `overlap`: two
    voices compete here, and `speaker` is only the likelier one. Long, even overlap is beyond it: an embedding
    of two people talking at the same loudness for seconds is a third voice.
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
    voices = find_voices(embeddings, max_speakers, scale_of(engine))
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


def find_voices(embeddings: NDArray[np.float32], max_speakers: int, scale: Scale) -> NDArray[np.float32]:
    """L2-normalised mean embedding of each voice, (voices, dimension), at least one row, at most `max_speakers`.

    `embeddings` are normalised rows; rows of zeros (silence) are left out.
    """
    known = embeddings[np.linalg.norm(embeddings, axis=1) > 0]
    if len(known) == 0:
        return np.zeros((1, embeddings.shape[1]), np.float32)
    least = min(LEAST_WINDOWS, len(known) * LEAST_SHARE)
    some = _some(known)
    least = max(2.0, least * len(some) / len(known)) if len(some) < len(known) else least
    voices = _merged(some, _clustered(some, scale.window), scale.cluster, max_speakers, least)
    return _with_rare(voices, known, scale.window, max_speakers)


def _some(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most `MOST_CLUSTERED` of the rows, evenly spread."""
    if len(rows) <= MOST_CLUSTERED:
        return rows
    chosen: NDArray[np.float32] = rows[np.linspace(0, len(rows) - 1, MOST_CLUSTERED).round().astype(int)]
    return chosen


def _with_rare(
    voices: NDArray[np.float32], known: NDArray[np.float32], same_window: float, max_speakers: int
) -> NDArray[np.float32]:
    """`voices` and those who say little: groups among the windows that are like none of the voices, as far as they are
    themselves like none of them. All windows are looked at, also those that the clustering did not see."""
    odd = _some(known[(known @ voices.T).max(axis=1) < same_window])
    if len(odd) < RARE_WINDOWS:
        return voices
    labels = _clustered(odd, same_window)
    sizes = np.bincount(labels)
    found = list(voices)
    for label in np.argsort(-sizes, kind="stable"):
        total = odd[labels == label].sum(axis=0)
        mean = total / np.linalg.norm(total)
        apart = max(float(voice @ mean) for voice in found) < same_window
        if sizes[label] >= RARE_WINDOWS and len(found) < max_speakers and apart:
            found.append(mean)
    return np.stack(found).astype(np.float32)


def _clustered(embeddings: NDArray[np.float32], same_window: float) -> NDArray[np.int64]:
    """A label for each row; too many clusters rather than too few (`_merged` follows)."""
    if len(embeddings) == 1:
        return np.zeros(1, np.int64)
    return average_linkage(embeddings @ embeddings.T, same_window)


def _merged(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], same_voice: float, max_speakers: int, least: float
) -> NDArray[np.float32]:
    """Mean embeddings of the clusters of at least ``least`` windows (or of the largest), the nearest two joined until
    no two are one voice and there is room for all."""
    sizes = np.bincount(labels)
    kept = np.flatnonzero(sizes >= least) if (sizes >= least).any() else [int(sizes.argmax())]
    sums = [embeddings[labels == label].sum(axis=0) for label in kept]
    while True:
        means = np.stack([total / np.linalg.norm(total) for total in sums])
        between = means @ means.T
        np.fill_diagonal(between, -1.0)
        first, second = np.unravel_index(int(between.argmax()), between.shape)
        if len(sums) == 1 or (between[first, second] < same_voice and len(sums) <= max_speakers):
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
    return [Turn(round(t.start, 3), round(t.end, 3), order[t.speaker], t.confidence, t.overlap) for t in turns]
