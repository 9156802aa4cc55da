"""Intervals hold what they promise, comparisons are paired, and bounds follow the measured spread."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memories.evaluation import figures, gate
from memories.evaluation.dataset import DatasetError
from memories.evaluation.figures import Figure, differences, figures_of
from memories.evaluation.gate import Bound
from memories.evaluation.words import Parts


def parts(rates: list[float], words: float = 100) -> dict[str, Parts]:
    return {f"item{at}": {"wer": (rate * words, words)} for at, rate in enumerate(rates)}


def test_a_figure_is_the_ratio_of_sums_and_not_the_mean_of_ratios() -> None:
    items: dict[str, Parts] = {"long": {"wer": (10, 100)}, "short": {"wer": (1, 1)}}
    assert figures_of(items)["wer"].value == pytest.approx(11 / 101)


def test_the_same_results_have_the_same_interval() -> None:
    found = figures_of(parts([0.1, 0.2, 0.4]))["wer"]
    assert found == figures_of(dict(reversed(parts([0.1, 0.2, 0.4]).items())))["wer"]
    assert found.low is not None
    assert found.high is not None
    assert 0.1 <= found.low < found.value < found.high <= 0.4


def test_a_single_item_has_no_interval() -> None:
    assert figures_of(parts([0.1]))["wer"] == Figure(0.1, None, None, 1)


def test_what_no_item_has_is_no_figure() -> None:
    assert set(figures_of(parts([0.1]))) == {"wer"}
    assert figures_of({"a": {"wer": (0, 0)}}) == {}


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Of 200 datasets of 40 items with a true rate of 20 %, nine in ten or more have it in their interval (95 % would
    be those of endless items; the bootstrap of few items is a little short)."""
    chance = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = figures_of(parts(list(chance.beta(2, 8, 40))))["wer"]
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.2 <= found.high
    assert held >= 180


def test_a_small_difference_on_the_same_items_is_shown_though_the_items_differ_widely() -> None:
    chance = np.random.default_rng(2)
    hard = list(chance.uniform(0.05, 0.6, 30))
    base, other = parts(hard), parts([rate + 0.02 + chance.normal(0, 0.01) for rate in hard])
    found = differences(base, other)["wer"]
    assert found.verdict == "worse"
    assert found.difference == pytest.approx(0.02, abs=0.01)
    assert differences(other, base)["wer"].verdict == "better"
    alone, beside = figures_of(base)["wer"], figures_of(other)["wer"]
    assert alone.high is not None
    assert beside.low is not None
    assert beside.low < alone.high  # their own intervals overlap: only the pairs show it


def test_no_difference_is_shown_where_there_is_none() -> None:
    chance = np.random.default_rng(3)
    shown = 0
    for _ in range(200):
        hard = chance.uniform(0.05, 0.6, 30)
        base = parts(list(hard + chance.normal(0, 0.02, 30)))
        shown += differences(base, parts(list(hard + chance.normal(0, 0.02, 30))))["wer"].verdict != "not shown"
    assert shown <= 20


def test_only_items_of_both_sides_are_compared() -> None:
    found = differences(parts([0.1, 0.9]), parts([0.1]))["wer"]
    assert (found.items, found.base, found.low, found.verdict) == (1, 0.1, None, "not shown")
    assert differences(parts([0.1]), {"other": {"wer": (1, 2)}}) == {}


def test_the_share_that_is_no_worse() -> None:
    assert differences(parts([0.1, 0.2, 0.3, 0.4]), parts([0.1, 0.1, 0.3, 0.5]))["wer"].no_worse == 0.75


def test_a_bound_leaves_twice_the_measured_spread() -> None:
    runs = [{"wer": Figure(value, None, None, 1)} for value in (0.10, 0.12, 0.11)]
    bound = gate.bounds_of(runs)["wer"]
    assert bound == Bound(limit=0.16, measured=0.11, spread=0.02, runs=3)
    right = gate.bounds_of([{"speaker_labels": Figure(value, None, None, 1)} for value in (0.9, 0.95)])
    assert right["speaker_labels"].limit == pytest.approx(0.8)


def test_what_did_not_move_still_has_a_little_room() -> None:
    assert gate.bounds_of([{"wer": Figure(0.1, None, None, 1)}] * 3)["wer"].limit == pytest.approx(0.11)
    assert gate.bounds_of([{"invented": Figure(0.0, None, None, 1)}] * 3)["invented"].limit == 0.0


def test_time_and_money_are_not_bounded() -> None:
    assert gate.bounds_of([{"latency": Figure(1, None, None, 1), "cost": Figure(1, None, None, 1)}]) == {}


@pytest.mark.parametrize(
    ("key", "value", "holds"),
    [("wer", 0.2, True), ("wer", 0.21, False), ("speaker_labels", 0.2, True), ("speaker_labels", 0.19, False)],
)
def test_the_gate_knows_which_way_is_better(key: str, value: float, holds: bool) -> None:
    told = gate.passed_over({key: Figure(value, None, None, 1)}, {key: Bound(0.2, 0.2, 0, 1)})
    assert (told == []) is holds


def test_a_figure_that_is_not_measured_any_more_does_not_pass() -> None:
    assert "not measured" in gate.passed_over({}, {"wer": Bound(0.2, 0.2, 0, 1)})[0]


def test_bounds_are_kept_and_read(tmp_path: Path) -> None:
    bounds = {"wer": Bound(0.2, 0.1, 0.01, 3)}
    gate.write_bounds(tmp_path / "b.json", bounds)
    assert gate.read_bounds(tmp_path / "b.json") == bounds


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"wer": 1}', '{"x": {"limit": 1, "measured": 1, "spread": 0, "runs": 1}}']
)
def test_a_file_without_bounds_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(DatasetError, match=r"b\.json"):
        gate.read_bounds(tmp_path / "b.json")


def test_every_metric_has_a_direction() -> None:
    assert {metric.good for metric in figures.METRICS.values()} == {"low", "high"}
