"""The HTML report: figures with their intervals as plots, comparisons, and the worst items with audio and alignment.

It needs no network and no script: plots are SVG in the page, and audio lies in a folder beside it.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from django.template import Context, Engine
from django.utils.text import get_valid_filename

from memories.evaluation import product
from memories.evaluation.dataset import Dataset, Item
from memories.evaluation.figures import HIGH, METRICS, Figure
from memories.evaluation.measure import QUESTION, Measured
from memories.evaluation.report import Report, change, number, told
from omi.core import workspace

TEMPLATE: Final = Path(__file__).with_name("report.html")
WORST: Final = 5
"""Items of each variant that are shown in full."""
WIDTH, LEFT, ROW, DOTS = 460, 8, 26, 54
"""Of a plot, in pixels: the whole, its margin, a variant's row, and the strip of single items."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A variant's figure in a plot: a dot at ``at`` on a line from ``low`` to ``high`` (pixels)."""

    name: str
    text: str
    y: int
    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Plot:
    """One figure of every variant on one scale from nothing to ``most``."""

    label: str
    good: str
    most: str
    height: int
    marks: list[Mark]


def write(file: Path, report: Report, dataset: Dataset) -> None:
    """Write the page, and the audio of the items that it shows into ``NAME-audio`` beside it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    items = {item.name: item for item in dataset.items}
    folder = file.with_name(f"{file.stem}-audio")
    shown = {
        name: [_example(items[key], found, folder) for key, found in worst(measurement.items)]
        for name, (_, measurement) in report.variants.items()
    }
    context = {
        "dataset": report.dataset,
        "made_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "items": len(dataset.items),
        "hours": round(_hours(report), 2),
        "questions": len(dataset.questions),
        "variants": [
            {"name": name, "settings": variant.shown, "failures": _failures(made.items), "examples": shown[name],
             "strip": strip(made.items), "models": _models(made.items)}
            for name, (variant, made) in report.variants.items()
        ],
        "plots": plots(report),
        "cases": [
            {"name": name, "sentence": found.sentence, "open": found.open} for name, found in report.cases.items()
        ],
        "comparisons": [
            {"base": it.base, "other": it.other, "changes": [
                {"verdict": found.verdict, "text": change(key, found)} for key, found in it.differences.items()
            ]}
            for it in report.comparisons
        ],
        "strip_width": WIDTH, "strip_height": DOTS,
    }  # fmt: skip
    page = Engine().from_string(TEMPLATE.read_text(encoding="utf-8")).render(Context(context))
    file.write_text(page, encoding="utf-8")


def worst(items: dict[str, Measured]) -> list[tuple[str, Measured]]:
    """The items with the most word errors for their length, those that failed first; none that is right."""
    return sorted(
        ((name, found) for name, found in items.items() if _rate(found) > 0),
        key=lambda pair: (-_rate(pair[1]), pair[0]),
    )[:WORST]


def plots(report: Report) -> list[Plot]:
    """A plot of each figure that any variant has."""
    figures = {name: report.figures(name) for name in report.variants}
    found = []
    for key, metric in METRICS.items():
        rows = [(name, measured[key]) for name, measured in figures.items() if key in measured]
        if not rows:
            continue
        reach = max(figure.value if figure.high is None else figure.high for _, figure in rows)
        most = 1.0 if metric.unit == "%" and metric.good == HIGH else reach or 1.0
        marks = [_mark(key, name, figure, most, place) for place, (name, figure) in enumerate(rows)]
        good = "higher is better" if metric.good == HIGH else "lower is better"
        found.append(Plot(metric.label, good, number(key, most), ROW * len(rows) + 8, marks))
    return found


def strip(items: dict[str, Measured]) -> list[dict[str, Any]]:
    """A dot for the word errors of each item, from none at the left to as many as words at the right."""
    rates = [(name, min(1.0, found.parts["wer"][0] / found.parts["wer"][1])) for name, found in sorted(items.items())
             if "wer" in found.parts]  # fmt: skip
    return [
        {"x": _x(rate, 1.0), "y": 12 + 7 * (place % 5), "text": f"{name}: {rate:.1%}"}
        for place, (name, rate) in enumerate(rates)
    ]


def _mark(key: str, name: str, figure: Figure, most: float, place: int) -> Mark:
    low = figure.value if figure.low is None else figure.low
    high = figure.value if figure.high is None else figure.high
    return Mark(
        name, told(key, figure), ROW * place + ROW // 2 + 4, _x(figure.value, most), _x(low, most), _x(high, most)
    )


def _x(value: float, most: float) -> float:
    return round(LEFT + (WIDTH - 2 * LEFT) * max(0.0, min(1.0, value / most)), 1)


def _rate(found: Measured) -> float:
    if found.heard.failure:
        return float("inf")
    errors, words = found.parts.get("wer", (0.0, 1.0))
    return errors / max(1.0, words)


def _hours(report: Report) -> float:
    measurement = next(iter(report.variants.values()))[1]
    return sum(item.heard.seconds for item in measurement.items.values()) / 3600


def _failures(items: dict[str, Measured]) -> list[str]:
    return [f"{name}: {found.heard.failure}" for name, found in items.items() if found.heard.failure]


def _models(items: dict[str, Measured]) -> str:
    return ", ".join(sorted({model for found in items.values() for model in found.heard.models.values()}))


def _example(item: Item, found: Measured, folder: Path) -> dict[str, Any]:
    return {
        "name": item.name.removeprefix(QUESTION),
        "failure": found.heard.failure,
        "rate": "" if found.heard.failure else f"{_rate(found):.0%} word errors",
        "language": item.language,
        "audio": _audio(item, folder),
        "pieces": [{"kind": it.kind, "reference": it.reference, "heard": it.heard} for it in found.pieces],
        "stretches": [
            {"start": f"{it.start:.1f}", "end": f"{it.end:.1f}", "who": f"{it.voice} ({it.who})", "text": it.text}
            for it in found.heard.stretches
        ],
        "faults": found.faults,
    }


def _audio(item: Item, folder: Path) -> str:
    """The item's recording, copied beside the page: its address there, or "" where there is none."""
    if item.audio is None:
        return ""
    folder.mkdir(exist_ok=True)
    with workspace.temporary("evaluate-audio-") as name:
        recording, _ = product.recording_of(item, Path(name))
        target = folder / f"{get_valid_filename(item.name)}{recording.suffix}"
        shutil.copyfile(recording, target)
    return f"{quote(folder.name)}/{quote(target.name)}"
