"""The intervals hold at the stated rate however often one looks, and find what is there. Simulated, fixed seeds."""

from __future__ import annotations

import numpy as np
import pytest

from memories.experiments import sequential

RUNS = 1000
PLANNED = 200


def ever_outside(truth: float, draws: np.ndarray, low: float, high: float) -> float:
    """The share of simulated experiments in which the interval left out the truth at any look."""
    missed = 0
    for values in draws:
        lows, highs = sequential.path(values, alpha=0.05, planned=PLANNED, low=low, high=high)
        missed += bool(((lows > truth) | (highs < truth)).any())
    return missed / len(draws)


@pytest.mark.parametrize("truth", [0.02, 0.3, 0.5, 0.9])
def test_looked_at_after_every_value_a_mean_is_missed_at_most_as_often_as_stated(truth: float) -> None:
    chance = np.random.default_rng(1)
    draws = (chance.random((RUNS, 3 * PLANNED)) < truth).astype(np.float64)
    assert ever_outside(truth, draws, 0.0, 1.0) <= 0.05


def test_a_fixed_interval_that_is_looked_at_daily_is_wrong_far_more_often() -> None:
    """The simulation can fail: what everybody would use is called significant several times as often as it says."""
    chance = np.random.default_rng(2)
    draws = (chance.random((RUNS, 3 * PLANNED)) < 0.5).astype(np.float64)
    counts = np.arange(1, draws.shape[1] + 1)
    means = draws.cumsum(1) / counts
    wrong = np.abs(means - 0.5)[:, 19:] > 1.96 * 0.5 / np.sqrt(counts[19:])
    assert wrong.any(1).mean() > 0.2


def test_two_alike_groups_are_called_different_at_most_as_often_as_stated() -> None:
    chance = np.random.default_rng(3)
    pairs = chance.beta(2, 5, (RUNS, 2 * PLANNED)) - chance.beta(2, 5, (RUNS, 2 * PLANNED))
    assert ever_outside(0.0, pairs, -1.0, 1.0) <= 0.05


def test_a_known_effect_is_found_within_the_planned_sample() -> None:
    chance = np.random.default_rng(4)
    found = []
    for values in (chance.random((400, PLANNED)) < 0.68).astype(np.float64):
        lows, _ = sequential.path(values, alpha=0.05, planned=PLANNED)
        found.append(bool((lows > 0.5).any()))
    assert np.mean(found) > 0.9
    small = chance.random((400, PLANNED)) * 0.2
    gain = [(values[1::2] + 0.15) - values[::2] for values in small]
    assert np.mean([sequential.path(v, alpha=0.05, planned=100, low=-1, high=1)[0][-1] > 0 for v in gain]) > 0.9


def test_a_value_outside_of_the_range_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0"):
        sequential.mean_interval([0.5, 1.2], alpha=0.05, planned=10)
    nothing = sequential.mean_interval([], alpha=0.05, planned=10)
    assert (nothing.low, nothing.high, nothing.count) == (0.0, 1.0, 0)


def test_groups_of_the_right_sizes_are_called_wrong_at_most_as_often_as_stated_and_others_are_found() -> None:
    shares = {"a": 1.0, "b": 1.0}
    chance = np.random.default_rng(5)

    def ever_over(share: float, users: int = 2000) -> float:
        alarms = 0
        for draws in chance.random((300, users)) < share:
            seen = draws.cumsum()
            looks = range(50, users + 1, 50)
            alarms += any(
                sequential.ratio_evidence({"a": int(seen[n - 1]), "b": int(n - seen[n - 1])}, shares) > 100
                for n in looks
            )
        return alarms / 300

    assert ever_over(0.5) <= 0.02  # stated: 0.01
    assert ever_over(0.6) > 0.95
