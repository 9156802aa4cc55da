"""Figures: each is a ratio of two sums over items, with an interval by resampling the items (bootstrap).

Items are resampled whole, because errors within one recording come together. The seed is fixed: the same results give
the same intervals. A comparison resamples the same items for both sides, so that what is hard for both cancels out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memories.evaluation.words import Parts

SAMPLES: Final = 2000
SEED: Final = 20261129
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Metric:
    """How one figure of an evaluation is read. ``good`` is the direction in which the figure gets better; ``unit`` is
    ``%`` or what is written behind it."""

    label: str
    good: str
    unit: str = "%"


LOW, HIGH = "low", "high"
METRICS: Final[dict[str, Metric]] = {
    "failed": Metric("items that became no memory", LOW),
    "wer": Metric("word errors (WER)", LOW),
    "cer": Metric("character errors (CER)", LOW),
    "cpwer": Metric("word errors with speakers (cpWER)", LOW),
    "tcpwer": Metric("the same, time-constrained (tcpWER)", LOW),
    "der": Metric("diarization errors (DER)", LOW),
    "speaker_labels": Metric("speech under the right name", HIGH),
    "stranger_as_user": Metric("strangers' speech taken for the user's", LOW),
    "stranger_named": Metric("strangers' speech under any known name", LOW),
    "known_missed": Metric("known people's speech left unknown", LOW),
    "known_confused": Metric("known people's speech under another's name", LOW),
    "edge_error": Metric("error of a turn's start and end", LOW, "s"),
    "invented": Metric("invented words per hour without speech", LOW, "/h"),
    "items_supported": Metric("action items that were said", HIGH),
    "events_supported": Metric("events that were said", HIGH),
    "numbers_supported": Metric("numbers that were said", HIGH),
    "items_found": Metric("expected action items that are there", HIGH),
    "items_wanted": Metric("action items that are expected ones", HIGH),
    "events_found": Metric("expected events that are there", HIGH),
    "events_wanted": Metric("events that are expected ones", HIGH),
    "discard_right": Metric("kept or discarded as expected", HIGH),
    "judge_faithfulness": Metric("faithfulness, judged by a model (1 to 5)", HIGH, ""),
    "judge_completeness": Metric("completeness, judged by a model (1 to 5)", HIGH, ""),
    "search_recall": Metric("search: recall@5", HIGH),
    "search_mrr": Metric("search: mean reciprocal rank", HIGH, ""),
    "search_ndcg": Metric("search: nDCG@10", HIGH, ""),
    "latency": Metric("seconds of processing per minute of audio", LOW, "s"),
    "cost": Metric("US dollars per hour of audio", LOW, "$"),
}
"""By name, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio over ``items`` items, between ``low`` and ``high`` with 95 % confidence (None of a single item)."""

    value: float
    low: float | None
    high: float | None
    items: int


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two evaluations in one figure: ``other`` minus ``base`` over the ``items`` that both have.
    ``verdict``: ``better``, ``worse``, or ``not shown``.

    ``no_worse`` is the share of items on which ``other`` is no worse.
    """

    base: float
    other: float
    difference: float
    low: float | None
    high: float | None
    items: int
    no_worse: float
    verdict: str


def figures_of(items: Mapping[str, Parts]) -> dict[str, Figure]:
    """Every figure that any item has a part in. ``items`` maps an item's name to its parts."""
    found = {}
    for name in METRICS:
        parts = [parts[name] for _, parts in sorted(items.items()) if name in parts]
        if parts and sum(bottom for _, bottom in parts) > 0:
            table = np.array(parts, np.float64)
            low, high = _interval(_resampled(table, _draws(len(table))), len(table))
            found[name] = Figure(_ratio(table), low, high, len(table))
    return found


def differences(base: Mapping[str, Parts], other: Mapping[str, Parts]) -> dict[str, Difference]:
    """What ``other`` does otherwise than ``base`` on the items of both, figure by figure."""
    found = {}
    for name, metric in METRICS.items():
        shared = [key for key in sorted(base) if name in base[key] and name in other.get(key, {})]
        before = np.array([base[key][name] for key in shared], np.float64).reshape(-1, 2)
        after = np.array([other[key][name] for key in shared], np.float64).reshape(-1, 2)
        if not shared or before[:, 1].sum() <= 0 or after[:, 1].sum() <= 0:
            continue
        draws = _draws(len(shared))
        low, high = _interval(_resampled(after, draws) - _resampled(before, draws), len(shared))
        sign = 1.0 if metric.good == LOW else -1.0
        with np.errstate(divide="ignore", invalid="ignore"):
            each = sign * (after[:, 0] / after[:, 1] - before[:, 0] / before[:, 1])
        found[name] = Difference(
            _ratio(before), _ratio(after), _ratio(after) - _ratio(before), low, high, len(shared),
            float(np.mean(~(each > 1e-12))), _verdict(low, high, sign),
        )  # fmt: skip
    return found


def _verdict(low: float | None, high: float | None, sign: float) -> str:
    if low is None or high is None or low <= 0 <= high:
        return "not shown"
    return "worse" if sign * low > 0 else "better"


def _ratio(table: NDArray[np.float64]) -> float:
    return float(table[:, 0].sum() / table[:, 1].sum())


def _draws(count: int) -> NDArray[np.int64]:
    return np.random.default_rng(SEED).integers(0, count, (SAMPLES, count))


def _resampled(table: NDArray[np.float64], draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """The ratio of each resample; of one whose denominator is nothing, the ratio of all."""
    top, bottom = table[:, 0][draws].sum(1), table[:, 1][draws].sum(1)
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), _ratio(table))


def _interval(values: NDArray[np.float64], items: int) -> tuple[float | None, float | None]:
    if items < 2:
        return None, None
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
