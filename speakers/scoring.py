"""The voices of a conversation against everybody who can be recognised: what ``policy.decide`` decides on.

``identify``, ``live`` and ``retroactive`` all come through ``room_of``; nothing here touches a database or an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from speakers.calibration import Calibration
from speakers.clips import centroid
from speakers.gallery import Candidates
from speakers.policy import Room, VoiceScores


@dataclass(frozen=True, slots=True)
class VoiceEvidence:
    """What was heard of one diarized voice.

    ``rows``: (pieces, dimension) unit embeddings of pieces of its voiced speech (none: too little was heard);
    ``seconds``: voiced speech in all; ``weights``: seconds of each piece (None: all alike); ``confirmed``: as in
    ``VoiceScores``; ``moments``: (windows, dimension) embeddings of ``Evidence.moments``, where there are any.
    """

    voice: str
    seconds: float
    rows: NDArray[np.float32]
    weights: NDArray[np.float32] | None = None
    confirmed: str | None = None
    moments: NDArray[np.float32] | None = None


def room_of(evidence: Sequence[VoiceEvidence], known: Candidates, calibration: Calibration | None) -> Room:
    """Return all voices of the conversation with their scores. Without a calibration the cosine stands for the
    probability, which is good enough for a suggestion only."""
    voices = [_scored(item, known, calibration) for item in evidence]
    same = np.zeros((len(voices), len(voices)), np.float32)
    for first, a in enumerate(voices):
        for second, b in enumerate(voices[:first]):
            if a.embedding is not None and b.embedding is not None and calibration is not None:
                same[first, second] = same[second, first] = calibration.same(a.embedding, b.embedding)
    return Room(list(known.ids), known.seconds, voices, same)


def _scored(item: VoiceEvidence, known: Candidates, calibration: Calibration | None) -> VoiceScores:
    vector = centroid(item.rows, item.weights)
    seconds = round(item.seconds, 2)
    if vector is None:
        nothing = np.zeros(len(known.ids), np.float32)
        return VoiceScores(item.voice, seconds, None, nothing, nothing - 50, confirmed=item.confirmed)
    if calibration is None:
        cosines = (known.profiles @ vector).max(axis=1) if len(known.ids) else np.zeros(0, np.float32)
        likely = np.clip(cosines, 1e-6, 1 - 1e-6)
        return VoiceScores(
            item.voice, seconds, vector, cosines, np.log(likely / (1 - likely)), confirmed=item.confirmed
        )
    cosines, logits = calibration.scores(vector, known.profiles)
    pieces, lengths = _pieces(item, known, logits, calibration)
    moments, likeness = _moments(item, vector, known, logits, calibration)
    return VoiceScores(
        item.voice, seconds, vector, cosines, logits, calibration.coverage(vector), item.confirmed, pieces, lengths,
        moments, likeness,
    )  # fmt: skip


def _pieces(
    item: VoiceEvidence, known: Candidates, logits: NDArray[np.float32], calibration: Calibration
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Log odds of each piece that it is who the whole voice fits best, and its seconds."""
    if not len(logits) or item.weights is None:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    real = _real(item.rows)
    return _odds(item.rows[real], known, logits, calibration), np.asarray(item.weights, np.float32)[real]


def _moments(
    item: VoiceEvidence,
    vector: NDArray[np.float32],
    known: Candidates,
    logits: NDArray[np.float32],
    calibration: Calibration,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Log odds of each window that it is who the whole voice fits best, and its cosine to the whole voice."""
    if not len(logits) or item.moments is None:
        return np.zeros(0, np.float32), np.zeros(0, np.float32)
    rows = item.moments[_real(item.moments)]
    return _odds(rows, known, logits, calibration), np.asarray(rows @ vector, np.float32)


def _odds(
    rows: NDArray[np.float32], known: Candidates, logits: NDArray[np.float32], calibration: Calibration
) -> NDArray[np.float32]:
    return calibration.odds(rows, known.profiles[logits.argmax()])


def _real(rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows are embeddings: rows of zeros are of nothing."""
    return np.asarray(np.linalg.norm(rows, axis=1) > 0.5, bool)
