"""Intervals that stay true however often somebody looks: confidence sequences, and a watch on the ratio of the groups.

A fixed-sample interval that is looked at every day is wrong far more often than it says. These hold at all times at
once: the chance that the truth is *ever* outside is at most ``alpha``. So an experiment may be stopped at any look.

The interval is the empirical-Bernstein one of Waudby-Smith and Ramdas (Estimating means of bounded random variables by
betting, 2024, theorem 2): it needs values in a known range, and nothing of their distribution. tests/experiments proves
the stated rates by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

BOLDEST: Final = 0.75
"""The largest bet; 1 could lose everything at one value."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval of a mean: ``low`` to ``high`` holds the mean with the stated confidence, at every look at
    once."""

    mean: float
    low: float
    high: float
    count: int


def mean_interval(
    values: Sequence[float], *, alpha: float, planned: int, low: float = 0.0, high: float = 1.0
) -> Interval:
    """Return the interval of the mean of values between ``low`` and ``high``, in the order in which they came.
    ``planned``: the count at which the interval shall be narrowest; it is valid at all others. Raises ValueError for a
    value outside of the range."""
    if not values:
        return Interval((low + high) / 2, low, high, 0)
    lows, highs = path(np.asarray(values, np.float64), alpha=alpha, planned=planned, low=low, high=high)
    return Interval(float(np.mean(values)), float(lows[-1]), float(highs[-1]), len(values))


def path(
    values: NDArray[np.float64], *, alpha: float, planned: int, low: float = 0.0, high: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper ends after each value, both (n,); each look keeps what earlier ones ruled out."""
    if values.min() < low - 1e-9 or values.max() > high + 1e-9:
        raise ValueError(f"values must be between {low} and {high}")
    scaled = np.clip((values - low) / (high - low), 0.0, 1.0)
    count = np.arange(1, len(scaled) + 1)
    means = (0.5 + np.cumsum(scaled)) / (count + 1)
    variances = (0.25 + np.cumsum((scaled - means) ** 2)) / (count + 1)
    before_mean = np.concatenate([[0.5], means[:-1]])  # what was known before each value: a bet sees nothing ahead
    before_variance = np.concatenate([[0.25], variances[:-1]])
    spent = math.log(2 / alpha)
    bets = np.minimum(BOLDEST, np.sqrt(2 * spent / (before_variance * np.maximum(planned, 1))))
    misses = (scaled - before_mean) ** 2
    price = -np.log1p(-bets) - bets  # of a bet, for each unit of squared miss
    total = np.cumsum(bets)
    centre = np.cumsum(bets * scaled) / total
    radius = (spent + np.cumsum(misses * price)) / total
    lows = np.maximum.accumulate(np.maximum(0.0, centre - radius))
    highs = np.minimum.accumulate(np.minimum(1.0, centre + radius))
    return low + lows * (high - low), low + highs * (high - low)


def difference_interval(base: Sequence[float], other: Sequence[float], *, alpha: float, planned: int) -> Interval:
    """Return the interval of the mean of ``other`` minus that of ``base``, both of independent units with values 0..1
    in the order in which they came. The i-th of the one is compared with the i-th of the other; the rest of the longer
    one waits."""
    count = min(len(base), len(other))
    pairs = [other[at] - base[at] for at in range(count)]
    return mean_interval(pairs, alpha=alpha, planned=planned, low=-1.0, high=1.0)


def ratio_evidence(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """How much the sizes of the groups speak against the intended ``shares``: the martingale of a Dirichlet mixture.
    With the right shares it is *ever* over ``1/alpha`` with a chance of at most ``alpha``."""
    names = sorted(shares)
    whole = sum(shares.values())
    intended = [shares[name] / whole for name in names]
    seen = [counts.get(name, 0) for name in names]
    prior = [100.0 * share for share in intended]  # most weight near what is intended: small faults are found sooner
    log = math.lgamma(sum(prior)) - math.lgamma(sum(prior) + sum(seen))
    for share, number, weight in zip(intended, seen, prior, strict=True):
        log += math.lgamma(weight + number) - math.lgamma(weight) - number * math.log(share)
    return math.exp(min(log, 700.0))
