"""The gate holds the figures of an evaluation against bounds that were measured before, with a margin for chance.

Chance is measured, not guessed: the dataset is run several times, each time with audio that is changed by something
that nobody hears. What a figure moves by then is its spread, and twice that is its margin.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from memories.evaluation.dataset import DatasetError
from memories.evaluation.figures import LOW, METRICS, Figure
from memories.evaluation.report import number

UNBOUND: Final = ("latency", "cost", "judge_faithfulness", "judge_completeness")
"""These depend on the machine, on price lists and on another model's opinion."""
LEAST_MARGIN: Final = {"%": 0.01, "s": 0.03, "/h": 0.0, "": 0.03}
"""Margin of a figure that did not move at all, by its unit: another processor rounds otherwise."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A figure may be ``limit`` at the worst. ``measured`` is its mean of ``runs`` runs, ``spread`` the widest distance
    between two of them."""

    limit: float
    measured: float
    spread: float
    runs: int


def bounds_of(runs: Sequence[Mapping[str, Figure]]) -> dict[str, Bound]:
    """Bounds for what every one of ``runs`` measured."""
    found = {}
    for key, metric in METRICS.items():
        values = [figures[key].value for figures in runs if key in figures]
        if key in UNBOUND or len(values) < len(runs):
            continue
        spread = max(values) - min(values)
        margin = max(2 * spread, LEAST_MARGIN.get(metric.unit, 0.0))
        limit = max(values) + margin if metric.good == LOW else min(values) - margin
        found[key] = Bound(round(limit, 5), round(sum(values) / len(values), 5), round(spread, 5), len(values))
    return found


def passed_over(figures: Mapping[str, Figure], bounds: Mapping[str, Bound]) -> list[str]:
    """One sentence for each bound that does not hold, also where the figure is missing."""
    found = []
    for key, bound in bounds.items():
        label, limit = METRICS[key].label, number(key, bound.limit)
        figure = figures.get(key)
        if figure is None:
            found.append(f"{label}: not measured, though it is bounded by {limit}")
        elif (figure.value > bound.limit) if METRICS[key].good == LOW else (figure.value < bound.limit):
            most = "at most" if METRICS[key].good == LOW else "at least"
            was = number(key, bound.measured)
            found.append(f"{label}: {number(key, figure.value)}, {most} {limit} (was {was})")
    return found


def write_bounds(file: Path, bounds: Mapping[str, Bound]) -> None:
    """Keep ``bounds`` as JSON that people read and change."""
    file.write_text(json.dumps({key: asdict(bound) for key, bound in bounds.items()}, indent=1) + "\n")


def read_bounds(file: Path) -> dict[str, Bound]:
    """Return the bounds in a JSON file by figure; raises DatasetError where it holds none, or an unknown figure."""
    try:
        found = {key: Bound(**bound) for key, bound in json.loads(file.read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DatasetError(file, f"it holds no bounds ({type(error).__name__})") from error
    if unknown := set(found) - set(METRICS):
        raise DatasetError(file, f"there is no figure {min(unknown)!r}")
    if not found:
        raise DatasetError(file, "it holds no bounds")
    return found
