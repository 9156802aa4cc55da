"""Weights of the calibration from the choosing side, and the shipped cohort from every voice that licences allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from bench.speakers_trials import Trial, Voice, trials
from speakers.calibration import Calibration, Weights, save
from speakers.engines import VoiceEngine

START = Weights(bias=-8.0, norm=2.0, cosine=4.0)
RATIO = 6.0
"""Weight of the cosine to that of the s-norm. On the choosing side, with one corpus left out of the cohort: 2 accepts
2.5 % of strangers of the corpus left out, 4 accepts 1.4 %, 6 accepts 0.5 %, 10 accepts 0.35 % and misses more."""
UNCOVERED = 0.005
"""Share of the choosing side's own speech that is taken to be far from every voice: what is farther is not named."""
SEEN = 8
"""Kinds of recording that a fit needs at least, so that a broken run does not ship."""


def fit(found: Sequence[Trial], start: Weights = START) -> Weights:
    """Logistic weights for even odds, over same-sex trials: others are easy and would hide the hard ones."""
    chosen = [trial for trial in found if trial.target or trial.sexes[0] == trial.sexes[1]]
    cosines = np.stack([trial.cosines for trial in chosen]).astype(np.float64)
    norms = np.stack([trial.norms for trial in chosen]).astype(np.float64)
    return _fitted(cosines, norms, np.array([trial.target for trial in chosen]), start)


def _fitted(
    cosines: NDArray[np.float64], norms: NDArray[np.float64], target: NDArray[np.bool_], start: Weights
) -> Weights:
    weight = np.where(target, 0.5 / target.sum(), 0.5 / (~target).sum())
    values = np.array([start.bias, start.norm])
    best = (norms + RATIO * cosines).max(axis=1)

    def loss(candidate: NDArray[np.float64]) -> float:
        logits = candidate[0] + candidate[1] * best
        return float(np.sum(weight * np.logaddexp(0, np.where(target, -logits, logits)))) + 1e-4 * (
            (1 + RATIO**2) * float(candidate[1]) ** 2
        )

    bias, norm = minimize(loss, values, method="BFGS").x
    return Weights(round(float(bias), 3), round(float(norm), 3), round(float(norm) * RATIO, 3))


def fit_voices(voices: Sequence[Voice], base: Calibration) -> Weights:
    """Weights of two voices of one conversation: probes of one condition, same sex, neither in the cohort."""
    cosines, norms, target = [], [], []
    for cosine, norm, same in _pairs(voices, base):
        cosines.append([cosine])
        norms.append([norm])
        target.append(same)
    return _fitted(np.array(cosines), np.array(norms), np.array(target), START)


def _pairs(voices: Sequence[Voice], base: Calibration) -> Iterator[tuple[float, float, bool]]:
    rows = np.stack([voice.cohort for voice in voices], axis=1)
    for at, first in enumerate(voices):
        for other in range(at + 1):
            second = voices[other]
            if first.sex != second.sex:
                continue
            keep = np.ones(len(voices), bool)
            keep[[at, other]] = False
            calibration = Calibration(base.engine, base.engine_version, START, START, rows[:, keep])
            for number, one in enumerate(first.probes):
                for index, two in enumerate(second.probes):
                    if (
                        one.condition == two.condition
                        and one.seconds == two.seconds != 3
                        and (at != other or index < number)
                    ):
                        yield *calibration.alike(two.vector, one.vector), at == other


def base_of(engine: VoiceEngine, voices: Sequence[Voice]) -> Calibration:
    """A calibration with this cohort and weights still to be fitted."""
    cohort = np.stack([voice.cohort for voice in voices], axis=1)
    return Calibration(engine.name, engine.version, START, START, cohort)


def ship(engine: VoiceEngine, choosing: Sequence[Voice], everybody: Sequence[Voice]) -> None:
    """Write weights and coverage of the choosing side, and the cohort of all voices."""
    if len({probe.condition for voice in choosing for probe in voice.probes}) < SEEN:
        raise SystemExit("the choosing side has not been heard in all conditions")
    base = base_of(engine, choosing)
    found = trials(choosing, choosing, base)
    profile, voice = fit(found), fit_voices(choosing, base)
    least = float(np.quantile([trial.coverage for trial in found], UNCOVERED))
    sources: dict[str, dict[str, object]] = {}
    for item in everybody:
        entry = sources.setdefault(item.corpus, {"licence": item.licence, "voices": 0, "women": 0})
        entry["voices"] = int(str(entry["voices"])) + 1
        entry["women"] = int(str(entry["women"])) + (item.sex == "F")
    path = save(
        engine.name,
        engine.version,
        profile=profile,
        voice=voice,
        least=round(least, 3),
        cohort=np.stack([item.cohort for item in everybody], axis=1),
        about={
            "fitted_on": f"{len(choosing)} voices of the choosing side, each trial without its own speakers",
            "cohort": f"{len(everybody)} voices in 4 conditions: embeddings, no audio, no names",
            "sources": sources,
        },
    )
    print(f"{path.name}: {profile}, two voices {voice}, coverage {least:.3f}, cohort of {len(everybody)} voices")
