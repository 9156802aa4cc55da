"""One voice against everybody who can be recognised: what ``identify``, ``live`` and ``retroactive`` decide on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from speakers.calibration import Calibration
from speakers.clips import centroid
from speakers.gallery import Candidates
from speakers.policy import VoiceScores


def scored(
    voice: str, seconds: float, rows: NDArray[np.float32], known: Candidates, calibration: Calibration | None
) -> VoiceScores:
    """``rows``: embeddings of this voice's windows (none: too little was heard); ``seconds``: its evidence.

    Without a calibration the cosine stands for the probability, which is good enough for a suggestion only.
    """
    vector = centroid(rows)
    if vector is None:
        nothing = np.zeros(len(known.ids), np.float32)
        return VoiceScores(voice, round(seconds, 2), None, nothing, nothing)
    cosines = known.profiles @ vector
    probabilities = (
        calibration.probabilities(cosines, vector, known.profiles)
        if calibration is not None
        else np.clip(cosines, 0, 1)
    )
    return VoiceScores(voice, round(seconds, 2), vector, cosines, probabilities)
