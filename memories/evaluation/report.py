"""The report of an evaluation: JSON that a later one can be compared with, and a table for the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from memories.evaluation.cases import NowRight, now_right
from memories.evaluation.dataset import DatasetError
from memories.evaluation.figures import METRICS, Difference, Figure, differences, figures_of
from memories.evaluation.isolation import MADE, Variant
from memories.evaluation.measure import Measurement

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of two sides on the same items: what ``other`` does otherwise than ``base``."""

    base: str
    other: str
    differences: dict[str, Difference]


@dataclass(frozen=True, slots=True)
class Report:
    """Every variant's measurement and figures on one dataset, and the comparisons of them. ``cases``: how many of the
    dataset's reported cases each variant gets right; empty for a dataset without any."""

    dataset: str
    variants: dict[str, tuple[Variant, Measurement]]
    comparisons: list[Comparison]
    cases: dict[str, NowRight] = field(default_factory=dict)

    def figures(self, name: str) -> dict[str, Figure]:
        return figures_of(self.variants[name][1].parts)


def report_of(
    dataset: str, made: Mapping[str, tuple[Variant, Measurement]], baseline: Mapping[str, Measurement],
    wanted: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:  # fmt: skip
    """The variants, each compared with the first one, and with the variant of its name (else the first) of a baseline
    (``baseline_of``). ``wanted``: what reported cases of the dataset want (``cases.wanted_of``)."""
    comparisons = []
    cases = {}
    first = next(iter(made))
    for name, (_, measurement) in made.items():
        if name != first:
            found = differences(made[first][1].parts, measurement.parts)
            comparisons.append(Comparison(first, name, found))
        before = name if name in baseline else next(iter(baseline), "")
        if before:
            found = differences(baseline[before].parts, measurement.parts)
            comparisons.append(Comparison(f"baseline {before}", name, found))
        if wanted:
            cases[name] = now_right(wanted, measurement, baseline.get(before))
    return Report(dataset, dict(made), comparisons, cases)


def as_json(report: Report) -> str:
    """The report for another program, and for ``--compare`` of a later evaluation."""
    variants = {
        name: {
            "settings": variant.shown,
            "figures": {key: asdict(figure) for key, figure in report.figures(name).items()},
            "measurement": MADE.dump_python(measurement, mode="json"),
            **({"cases": asdict(report.cases[name])} if name in report.cases else {}),
        }
        for name, (variant, measurement) in report.variants.items()
    }
    whole = {
        "format": FORMAT,
        "dataset": report.dataset,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "variants": variants,
        "comparisons": [asdict(comparison) for comparison in report.comparisons],
    }
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def baseline_of(file: Path) -> dict[str, Measurement]:
    """What every variant measured, from the JSON of an earlier evaluation. Raises DatasetError."""
    try:
        whole: Any = json.loads(file.read_text(encoding="utf-8"))
        if whole["format"] != FORMAT:
            raise DatasetError(file, f"its format is {whole['format']}, and {FORMAT} is read here")
        return {name: MADE.validate_python(variant["measurement"]) for name, variant in whole["variants"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(file, f"it is not the JSON of an evaluation ({type(error).__name__})") from error


def table(report: Report) -> str:
    """Figures with their intervals, a column a variant; below them what the comparisons show."""
    names = list(report.variants)
    figures = {name: report.figures(name) for name in names}
    rows = [["", *names]]
    for key, metric in METRICS.items():
        if any(key in found for found in figures.values()):
            rows.append([metric.label, *(told(key, figures[name].get(key)) for name in names)])
    lines = _aligned(rows)
    for comparison in report.comparisons:
        lines += ["", f"{comparison.other} against {comparison.base}, on the items of both:"]
        shown = [(key, found) for key, found in comparison.differences.items() if found.verdict != "not shown"]
        lines += [f"  {change(key, found)}" for key, found in shown] or ["  no difference is shown"]
    lines += [f"{name}: {found.sentence}" for name, found in report.cases.items()]
    return "\n".join(lines)


def told(key: str, figure: Figure | None) -> str:
    """A figure as people read it: ``4.1 % (2.0 to 6.3), 12 items``."""
    if figure is None:
        return "-"
    interval = "" if figure.low is None else f" ({number(key, figure.low)} to {number(key, figure.high)})"
    return f"{number(key, figure.value)}{interval}, n={figure.items}"


def change(key: str, found: Difference) -> str:
    """A difference as people read it."""
    interval = "" if found.low is None else f", difference {number(key, found.low)} to {number(key, found.high)}"
    return (
        f"{METRICS[key].label}: {found.verdict}, {number(key, found.base)} -> {number(key, found.other)}{interval} "
        f"(n={found.items}, no worse on {found.no_worse:.0%})"
    )


def number(key: str, value: float | None) -> str:
    """A value in the unit of its metric."""
    unit = METRICS[key].unit
    if value is None:
        return "-"
    if unit == "%":
        return f"{100 * value:.1f} %"
    return f"{value:.3f} $" if unit == "$" else f"{value:.2f} {unit}".strip()


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
