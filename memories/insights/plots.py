"""Plots as SVG, drawn here without a library, and the same numbers as a table for those who cannot see them. Pure.

No script and no style attribute: they stand in pages with a strict policy. ``currentColor`` follows light and dark.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from memories.insights.summary import Insights

COLOURS = ("#3b6fb6", "#c8553d", "#5b8c5a", "#8a6bb1", "#b08a2e", "#4a9aa5", "#a0526f", "#6f7a85")
"""Each with a contrast of at least 3 to white and to near black."""
WIDTH, BAR, GAP, LEFT, CHARACTERS = 640, 22, 8, 160, 22
MOST_ROWS, MOST_SERIES = 30, 8


@dataclass(frozen=True, slots=True)
class Plot:
    """Bars, each of parts. ``rows``: (label, values by series); ``unit`` stands behind each number."""

    title: str
    unit: str
    series: list[str]
    rows: list[tuple[str, list[float]]]


def talk_time(told: Insights) -> Plot:
    """Minutes of each voice."""
    rows = [(_name(item.name, item.person_id), [round(item.seconds / 60, 1)]) for item in told.people]
    return Plot("Talk time", "min", ["minutes"], rows[:MOST_ROWS])


def topics(told: Insights) -> Plot:
    """Minutes of each week by category."""
    return _stacked("Topics by week", "min", [(str(i.week), i.category, i.seconds / 60) for i in told.topics])


def emotions(told: Insights) -> Plot:
    """Minutes of each week in which each emotion led in the user's own voice."""
    own = [(str(item.week), item.emotion, item.seconds / 60) for item in told.emotions if item.person_id is None]
    return _stacked("Emotions in your voice by week", "min", own)


PLOTS = {"talk-time": talk_time, "topics": topics, "emotions": emotions}


def _name(name: str | None, person_id: str | None) -> str:
    return name or ("You" if person_id is None else "Somebody")


def _stacked(title: str, unit: str, items: Sequence[tuple[str, str, float]]) -> Plot:
    whole: dict[str, float] = defaultdict(float)
    for _, series, value in items:
        whole[series] += value
    most = sorted(whole, key=lambda name: (-whole[name], name))
    kept = most if len(most) <= MOST_SERIES else [*most[: MOST_SERIES - 1], "others"]
    table: dict[str, list[float]] = {}
    for label, series, value in items:
        row = table.setdefault(label, [0.0] * len(kept))
        row[kept.index(series) if series in kept else len(kept) - 1] += value
    rows = [(label, [round(value, 1) for value in table[label]]) for label in sorted(table)]
    return Plot(title, unit, kept, rows[-MOST_ROWS:])


def svg(plot: Plot) -> str:
    """Horizontal bars with their values; ``title`` and ``desc`` say in words what they show."""
    legend = 24 * ((len(plot.series) + 3) // 4) if len(plot.series) > 1 else 0
    height = 40 + (BAR + GAP) * max(1, len(plot.rows)) + legend
    most = max((sum(values) for _, values in plot.rows), default=0.0) or 1.0
    room = WIDTH - LEFT - 80
    said = "; ".join(f"{label}: {sum(values):.1f} {plot.unit}" for label, values in plot.rows) or "nothing yet"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-labelledby="plot-title plot-desc" font-family="sans-serif" font-size="13">',
        f'<title id="plot-title">{escape(plot.title)}</title><desc id="plot-desc">{escape(said)}</desc>',
        f'<text x="0" y="18" fill="currentColor" font-weight="bold">{escape(plot.title)}</text>',
    ]
    for row, (label, values) in enumerate(plot.rows):
        top, at = 32 + row * (BAR + GAP), float(LEFT)
        shown = label if len(label) <= CHARACTERS else label[: CHARACTERS - 1] + "…"
        parts.append(f'<text x="0" y="{top + 16}" fill="currentColor">{escape(shown)}</text>')
        for index, value in enumerate(values):
            width = room * value / most
            if width > 0:
                colour = COLOURS[index % len(COLOURS)]
                parts.append(f'<rect x="{at:.1f}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>')
            at += width
        parts.append(f'<text x="{at + 6:.1f}" y="{top + 16}" fill="currentColor">{sum(values):.1f} {plot.unit}</text>')
    if len(plot.series) > 1:
        below = 32 + len(plot.rows) * (BAR + GAP)
        for index, name in enumerate(plot.series):
            x, y = 160 * (index % 4), below + 24 * (index // 4)
            parts.append(f'<rect x="{x}" y="{y}" width="12" height="12" fill="{COLOURS[index % len(COLOURS)]}"/>')
            parts.append(f'<text x="{x + 18}" y="{y + 11}" fill="currentColor">{escape(name[:18])}</text>')
    return "".join([*parts, "</svg>"])


def table(plot: Plot) -> str:
    """Return the values of a plot as an HTML table."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in plot.series)
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>{"".join(f"<td>{value:.1f}</td>" for value in values)}</tr>'
        for label, values in plot.rows
    )
    caption = f"<caption>{escape(plot.title)} ({escape(plot.unit)})</caption>"
    return f'<table>{caption}<thead><tr><th scope="col"></th>{head}</tr></thead><tbody>{body}</tbody></table>'


def figure(plot: Plot) -> str:
    """The plot with its table."""
    return f"<figure>{svg(plot)}<details><summary>As a table</summary>{table(plot)}</details></figure>"
