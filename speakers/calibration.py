"""From a cosine to a probability, per engine: logistic over the cosine, its s-norm against a shipped cohort, and length.

Without a cohort a cosine means little: the mean of strangers is 0.53 with Resemblyzer, and scores rise with the length of
the evidence. The cohort are embeddings of readers of LibriSpeech (CC BY 4.0, docs/speakers.md); the weights were fitted by
``python -m bench.speakers --fit`` on one half of the speakers and judged on the other.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent / "cohorts"


@dataclass(frozen=True)
class Calibration:
    """``weights``: bias, cosine, s-norm, log of seconds. ``cohort``: unit rows (n, dimension)."""

    engine: str
    engine_version: str
    weights: tuple[float, float, float, float]
    cohort: NDArray[np.float32]

    def snorm(self, cosines: NDArray[np.float32], test: NDArray[np.float32], profiles: NDArray[np.float32]) -> NDArray[np.float32]:
        """Symmetric normalisation: (cosine - mean) / deviation over the cohort, averaged over both sides: (profiles,)."""
        against_test = self.cohort @ test
        against_profiles = self.cohort @ profiles.T
        test_side = (cosines - against_test.mean()) / max(float(against_test.std()), 1e-3)
        profile_side = (cosines - against_profiles.mean(axis=0)) / np.maximum(against_profiles.std(axis=0), 1e-3)
        return np.asarray((test_side + profile_side) / 2, np.float32)

    def probabilities(
        self, cosines: NDArray[np.float32], test: NDArray[np.float32], profiles: NDArray[np.float32], seconds: float
    ) -> NDArray[np.float32]:
        """Probability that the ``test`` voice (``seconds`` of evidence) is that of each row of ``profiles``."""
        if not len(profiles):
            return np.zeros(0, np.float32)
        bias, cosine, norm, length = self.weights
        logit = bias + cosine * cosines + norm * self.snorm(cosines, test, profiles) + length * _log_seconds(seconds)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))), np.float32)


def _log_seconds(seconds: float) -> float:
    """Length saturates: beyond 20 s a score no longer rises."""
    return float(np.log(np.clip(seconds, 0.5, 20.0)))


@cache
def calibration_of(engine: str, engine_version: str) -> Calibration | None:
    """The shipped (or fitted) calibration of exactly this engine and version; None means suggestions only."""
    slug = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in f"{engine}-{engine_version}")
    path = FOLDER / f"{slug}.json"
    if not path.is_file():
        return None
    data = json.loads(path.read_text(encoding="utf-8"))
    cohort = np.load(path.with_suffix(".npy")).astype(np.float32)
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
    bias, cosine, norm, length = (float(value) for value in data["weights"])
    return Calibration(engine, engine_version, (bias, cosine, norm, length), cohort)
