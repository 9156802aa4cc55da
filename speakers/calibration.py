"""From a cosine to a probability, per engine: logistic over the cosine's s-norm against a shipped cohort.

A cosine alone means little: with Resemblyzer strangers average 0.53, noise and the telephone's band make everybody
alike, and scores rise with the length of the evidence. How far a cosine stands out among those of a cohort of
strangers takes most of that away: log loss 0.104 against 0.169 for the plain cosine, on degraded speech of the
choosing half (docs/speakers.md). Cohort and weights are made by ``python -m bench.speakers --fit``; the shipped
cohort are embeddings of readers of LibriSpeech (CC BY 4.0).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent / "cohorts"

AGREES = 0.5
"""Probability from which a sample agrees with a profile; below it a person has to confirm it."""


@dataclass(frozen=True)
class Calibration:
    """``bias`` and ``slope`` of the logistic over the s-norm; ``cohort``: unit rows (n, dimension)."""

    engine: str
    engine_version: str
    bias: float
    slope: float
    cohort: NDArray[np.float32]

    def snorm(
        self, cosines: NDArray[np.float32], test: NDArray[np.float32], profiles: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Symmetric normalisation: (cosine - mean) / deviation over the cohort, averaged over both sides:
        (profiles,)."""
        against_test = self.cohort @ test
        against_profiles = self.cohort @ profiles.T
        test_side = (cosines - against_test.mean()) / max(float(against_test.std()), 1e-3)
        profile_side = (cosines - against_profiles.mean(axis=0)) / np.maximum(against_profiles.std(axis=0), 1e-3)
        return np.asarray((test_side + profile_side) / 2, np.float32)

    def probabilities(
        self, cosines: NDArray[np.float32], test: NDArray[np.float32], profiles: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Probability, with even odds before, that the ``test`` voice is that of each row of ``profiles``."""
        if not len(profiles):
            return np.zeros(0, np.float32)
        logit = self.bias + self.slope * self.snorm(cosines, test, profiles)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))), np.float32)


def cohort_path(engine: str, engine_version: str) -> Path:
    """Where the calibration of exactly this engine and version lies, without suffix."""
    name = f"{engine}-{engine_version}"
    return FOLDER / "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)


@cache
def calibration_of(engine: str, engine_version: str) -> Calibration | None:
    """The calibration of exactly this engine and version; None means suggestions only."""
    path = cohort_path(engine, engine_version)
    described = path.with_name(path.name + ".json")
    if not described.is_file():
        return None
    data = json.loads(described.read_text(encoding="utf-8"))
    cohort = np.load(path.with_name(path.name + ".npy"), allow_pickle=False).astype(np.float32)
    cohort /= np.linalg.norm(cohort, axis=1, keepdims=True)
    return Calibration(engine, engine_version, float(data["bias"]), float(data["slope"]), cohort)


def save(
    engine: str, engine_version: str, *, bias: float, slope: float, cohort: NDArray[np.float32], note: str
) -> Path:
    """Write a calibration (float16 cohort: 0.5 kB a voice of 256 numbers) and return the description's path."""
    path = cohort_path(engine, engine_version)
    np.save(path.with_name(path.name + ".npy"), cohort.astype(np.float16))
    described = path.with_name(path.name + ".json")
    content = {"engine": engine, "engine_version": engine_version, "bias": bias, "slope": slope, "note": note}
    described.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    calibration_of.cache_clear()
    return described
