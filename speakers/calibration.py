"""From a cosine to a probability, per engine: a logistic over the cosine and its s-norm against a shipped cohort.

A cosine alone means little: it falls with noise, a room and the telephone's band, and each engine has a scale of its
own. A profile is therefore a copy of the enrolment in each of ``conditions.CONDITIONS``; a test voice is compared with
each copy, against a cohort of strangers in the same condition, and the copy that fits best counts. Cohort and weights
are made by ``python -m bench.speakers --fit``; where the voices come from is in the file beside them.

A deployment may add voices of its own to the cohort (``manage.py cohort``): embeddings in the data folder, without
anything that says whose they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parent / "cohorts"

AGREES = 0.5
"""Probability from which a sample agrees with a profile; below it a person has to confirm it."""
NEAREST = 5
"""Voices of the cohort whose mean cosine says how well the calibration knows voices like this one."""


@dataclass(frozen=True)
class Weights:
    """Log odds: ``bias + norm * s-norm + cosine * cosine``. The length of the evidence adds nothing to them."""

    bias: float
    norm: float
    cosine: float = 0.0

    def logits(self, norms: NDArray[np.float32], cosines: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self.bias + self.norm * norms + self.cosine * cosines, np.float32)


@dataclass(frozen=True)
class Calibration:
    """What turns an engine's cosines into log odds. ``profile``: weights of a voice against a profile, ``voice``: of
    two voices of one conversation; ``cohort``: unit rows (conditions, voices, dimension), with one condition where
    copies are not used; ``least``: ``coverage`` under which nobody is named."""

    engine: str
    engine_version: str
    profile: Weights
    voice: Weights
    cohort: NDArray[np.float32]
    least: float = 0.0

    def scores(
        self, test: NDArray[np.float32], profiles: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosine and log odds (even odds before) that ``test`` is the voice of each of ``profiles`` (n, copies,
        dimension), each by its best copy."""
        if not len(profiles):
            return np.zeros(0, np.float32), np.zeros(0, np.float32)
        cosines, norms = self.terms(test, profiles)
        logits = np.stack([self.profile.logits(norms[:, c], cosines[:, c]) for c in range(cosines.shape[1])], axis=1)
        best = logits.argmax(axis=1)
        rows = np.arange(len(profiles))
        return cosines[rows, best].astype(np.float32), logits[rows, best].astype(np.float32)

    def terms(
        self, test: NDArray[np.float32], profiles: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosine and s-norm of ``test`` with each copy of each of ``profiles``: (n, copies) both."""
        copies = min(profiles.shape[1], len(self.cohort))
        cosines = np.asarray(profiles[:, :copies] @ test, np.float32)
        norms = np.stack([self._norm(cosines[:, c], test, profiles[:, c], c) for c in range(copies)], axis=1)
        return cosines, norms

    def odds(self, tests: NDArray[np.float32], profile: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log odds that each of ``tests`` (n, dimension) is the voice of ``profile`` (copies, dimension): ``scores`` of
        many pieces of one voice at once."""
        cosines, norms = self.terms_of_each(tests, profile)
        return np.asarray(self.profile.logits(norms, cosines).max(axis=1), np.float32)

    def terms_of_each(
        self, tests: NDArray[np.float32], profile: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cosine and s-norm of each of ``tests`` (n, dimension) with each copy of one profile: (n, copies) both."""
        copies = min(len(profile), len(self.cohort))
        cosines = np.asarray(tests @ profile[:copies].T, np.float32)
        norms = np.stack([self._norm(cosines[:, c], profile[c], tests, c) for c in range(copies)], axis=1)
        return cosines, norms

    def probabilities(self, test: NDArray[np.float32], profiles: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(1 / (1 + np.exp(-np.clip(self.scores(test, profiles)[1], -50, 50))), np.float32)

    def same(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
        """Return the probability that two voices heard in one recording are one.

        Of the cohort the condition counts in which they stand out least: over one telephone everybody is alike.
        """
        cosine, norm = self.alike(first, second)
        logit = self.voice.logits(np.array([norm], np.float32), np.array([cosine], np.float32))
        return float(1 / (1 + np.exp(-np.clip(logit[0], -50, 50))))

    def alike(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[float, float]:
        """Cosine and the least s-norm of two voices: what ``same`` weighs."""
        copies = np.repeat(second[None, None], len(self.cohort), axis=1)
        cosines, norms = self.terms(first, copies)
        return float(cosines[0, 0]), float(norms.min())

    def coverage(self, test: NDArray[np.float32]) -> float:
        """Mean cosine of the ``NEAREST`` voices of the cohort, in the condition that fits best."""
        cosines = np.sort(self.cohort @ test, axis=1)[:, -NEAREST:]
        return float(cosines.mean(axis=1).max())

    def _norm(
        self, cosines: NDArray[np.float32], one: NDArray[np.float32], others: NDArray[np.float32], condition: int
    ) -> NDArray[np.float32]:
        """Symmetric normalisation of one voice with each of several: (cosine - mean) / deviation over the cohort,
        averaged over both sides: (n,)."""
        cohort = self.cohort[condition]
        against_one, against_others = cohort @ one, cohort @ others.T
        one_side = (cosines - against_one.mean()) / max(float(against_one.std()), 1e-3)
        other_side = (cosines - against_others.mean(axis=0)) / np.maximum(against_others.std(axis=0), 1e-3)
        return np.asarray((one_side + other_side) / 2, np.float32)


def cohort_name(engine: str, engine_version: str) -> str:
    """Return the name of an engine's cohort file, without characters that a file name must not have."""
    name = f"{engine}-{engine_version}"
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)


def cohort_path(engine: str, engine_version: str) -> Path:
    """Return where the calibration of exactly this engine and version lies, without suffix."""
    return FOLDER / cohort_name(engine, engine_version)


def own_cohort_path(engine: str, engine_version: str) -> Path:
    """The voices that this deployment added, in its data folder."""
    return Path(settings.OMI_DATA_DIR) / "cohorts" / (cohort_name(engine, engine_version) + ".npy")


def calibration_of(engine: str, engine_version: str) -> Calibration | None:
    """The calibration of exactly this engine and version; None means suggestions only."""
    own = own_cohort_path(engine, engine_version)
    return _read(engine, engine_version, own, own.stat().st_mtime if own.is_file() else 0.0)


def forget_read() -> None:
    """The files have changed."""
    _read.cache_clear()


@cache
def _read(engine: str, engine_version: str, own: Path, changed: float) -> Calibration | None:
    path = cohort_path(engine, engine_version)
    described = path.with_name(path.name + ".json")
    if not described.is_file():
        return None
    data = json.loads(described.read_text(encoding="utf-8"))
    cohort = np.load(path.with_name(path.name + ".npy"), allow_pickle=False).astype(np.float32)
    if changed:
        added = np.load(own, allow_pickle=False).astype(np.float32)
        if added.ndim == 3 and added.shape[::2] == cohort.shape[::2]:
            cohort = np.concatenate([cohort, added], axis=1)
    cohort /= np.linalg.norm(cohort, axis=2, keepdims=True)
    return Calibration(
        engine, engine_version, Weights(**data["profile"]), Weights(**data["voice"]), cohort, float(data["least"])
    )


def save(
    engine: str,
    engine_version: str,
    *,
    profile: Weights,
    voice: Weights,
    least: float,
    cohort: NDArray[np.float32],
    about: dict[str, Any],
) -> Path:
    """Write a calibration (float16 cohort) and return the description's path. ``about``: sources, licences, counts."""
    path = cohort_path(engine, engine_version)
    np.save(path.with_name(path.name + ".npy"), cohort.astype(np.float16))
    described = path.with_name(path.name + ".json")
    content = {
        "engine": engine, "engine_version": engine_version, "profile": vars(profile), "voice": vars(voice),
        "least": least, **about,
    }  # fmt: skip
    described.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    forget_read()
    return described
