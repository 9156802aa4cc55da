"""The tables of ``python -m bench.speakers``: what the shipped rules accept and miss on the reporting side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.speakers_conditions import CONDITIONS, UNSEEN
from bench.speakers_fit import base_of, fit
from bench.speakers_trials import Trial, Voice, trials
from speakers.calibration import Calibration, Weights
from speakers.engines import VoiceEngine
from speakers.policy import ACCEPT, CANDIDATE_USER, EARNED, ENROLMENT, Room, Rules, VoiceScores, decide

RESAMPLED = 1000


def report(engine: VoiceEngine, choosing: Sequence[Voice], reporting: Sequence[Voice], least: float) -> None:
    """Cohort and weights are the choosing side's: no tested speaker has a part in them."""
    base = base_of(engine, choosing)
    weights = fit(trials(choosing, choosing, base))
    calibration = Calibration(engine.name, engine.version, weights, weights, base.cohort)
    found = trials(reporting, choosing, calibration)
    enrolled = {trial.profile for trial in found}
    print(
        f"\nVerification on the reporting side: {len(reporting)} voices, {len(enrolled)} of them enrolled by 8 to 20 s;"
        f" cohort and weights of the {len(choosing)} voices of the choosing side\n"
        f"  accepted by the rules in force (probability {ACCEPT}, 0.995 under 5 s; coverage; pieces of 3 s and\n"
        "  windows of 1.6 s agree), speech in turns of 1 s; in brackets the 95 % interval (bootstrap by\n"
        "  speakers; for none accepted 3 / pairs)"
    )
    _by_condition(found, weights, least)
    for title, chosen in (
        ("women", lambda t: t.sexes == "FF"), ("men", lambda t: t.sexes == "MM"),
        ("women against men", lambda t: t.sexes in ("FM", "MF")),
    ):  # fmt: skip
        _line(title, [t for t in found if t.seconds == EARNED and chosen(t)], weights, least, chosen)
    for seconds in sorted({trial.seconds for trial in found}):
        here = [t for t in found if t.seconds == seconds and t.condition == "clean"]
        _line(f"{seconds} s, clean", here, weights, least)
    accents = {voice.name: voice.accent for voice in reporting}
    for accent in sorted(set(accents.values())):
        here = [t for t in found if t.seconds == EARNED and accents[t.profile] == accents[t.probe] == accent]
        _line(f"accent: {accent}", here, weights, least)
    far = [t for t in found if t.coverage < least]
    print(
        f"  far from every voice of the cohort (a suggestion): {len({(t.probe, t.condition) for t in far})} recordings"
    )
    _left_out(engine, choosing, reporting, least)
    short = trials(reporting, choosing, calibration, short=True)
    _line("enrolled with 5 s", [t for t in short if t.seconds == EARNED], weights, least)


def _by_condition(found: Sequence[Trial], weights: Weights, least: float) -> None:
    print(f"  same sex, {EARNED:.0f} s of evidence                  strangers accepted                        missed")
    for condition in CONDITIONS:
        here = [t for t in found if t.condition == condition and t.seconds == EARNED]
        _line(condition + (" *" if condition in UNSEEN else ""), here, weights, least)
    eight = [t for t in found if t.seconds == EARNED]
    _line("all", eight, weights, least)
    _line("all but clean", [t for t in eight if t.condition != "clean"], weights, least)
    print("  (* a kind of degradation that no profile is a copy of)")


def _left_out(engine: VoiceEngine, choosing: Sequence[Voice], reporting: Sequence[Voice], least: float) -> None:
    print("  a corpus left out of cohort and weights, its reporting voices tested, same sex, 8 s")
    for corpus in sorted({voice.corpus for voice in reporting if voice.profile is not None}):
        others = [voice for voice in choosing if voice.corpus != corpus]
        tested = [voice for voice in reporting if voice.corpus == corpus]
        if len(tested) < 3:
            continue
        base = base_of(engine, others)
        weights = fit(trials(others, others, base))
        found = [t for t in trials(tested, others, base) if t.seconds == EARNED]
        _line(f"without {corpus}", found, weights, least)


def accepted(trial: Trial, weights: Weights, least: float) -> bool:
    """Whether the rules in force name the voice, alone in its room, as the one whose profile this is."""
    logits = weights.logits(trial.norms, trial.cosines)
    best = int(logits.argmax())
    pieces = weights.logits(trial.piece_norms, trial.piece_cosines).max(axis=1)
    moments = weights.logits(trial.moment_norms, trial.moment_cosines).max(axis=1)
    heard = VoiceScores(
        trial.probe, trial.seconds, np.ones(1, np.float32), trial.cosines[best : best + 1], logits[best : best + 1],
        trial.coverage, pieces=pieces, piece_seconds=trial.piece_seconds, moments=moments, likeness=trial.likeness,
    )  # fmt: skip
    room = Room([CANDIDATE_USER], np.array([ENROLMENT], np.float32), [heard], np.ones((1, 1), np.float32))
    return decide(room, Rules(coverage=least))[0].is_user


def _line(
    title: str, found: Sequence[Trial], weights: Weights, least: float, chosen: Callable[[Trial], bool] | None = None
) -> None:
    chosen = chosen or (lambda trial: trial.sexes[0] == trial.sexes[1])
    strangers = [trial for trial in found if not trial.target and chosen(trial)]
    own = [trial for trial in found if trial.target]
    wrong = np.array([accepted(trial, weights, least) for trial in strangers], bool)
    missed = np.array([not accepted(trial, weights, least) for trial in own], bool)
    print(f"  {title:32s} {_rate(strangers, wrong):48s} {_rate(own, missed)}")


def _rate(found: Sequence[Trial], hits: NDArray[np.bool_]) -> str:
    if not len(hits):
        return "-"
    low, high = interval(found, hits)
    if not hits.any():  # no rate: it was not seen, which says how often it may be at most
        return f"none of {len(hits):5d}          (under {high:.2%})"
    return f"{hits.sum():4d} of {len(hits):5d} {hits.mean():7.2%} ({low:.2%} to {high:.2%})"


def interval(found: Sequence[Trial], hits: NDArray[np.bool_]) -> tuple[float, float]:
    """95 % by resampling speakers: a trial counts as often as both of its speakers were drawn."""
    names = sorted({trial.profile for trial in found} | {trial.probe for trial in found})
    place = {name: at for at, name in enumerate(names)}
    first = np.array([place[trial.profile] for trial in found])
    second = np.array([place[trial.probe] for trial in found])
    pairs = len(set(zip(first.tolist(), second.tolist(), strict=True)))
    if not hits.any():
        return 0.0, min(1.0, 3 / pairs)
    rng = np.random.default_rng(1)
    rates = []
    for _ in range(RESAMPLED):
        drawn = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        weight = np.where(first == second, drawn[first], drawn[first] * drawn[second])
        if weight.sum():
            rates.append(float((weight * hits).sum() / weight.sum()))
    low, high = np.quantile(rates, [0.025, 0.975])
    return float(low), max(float(high), float(hits.mean()))
