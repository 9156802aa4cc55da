"""What the demo prints: the same that stands in ``report.json``."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from demo import gained
from demo.measure import label_of

Json = dict[str, Any]


def show(console: Console, report: Json) -> None:
    _transcripts(console, report)
    _accuracy(console, report)
    _memory(console, "Before, from the live transcript", report["before"])
    _memory(console, "After post-processing", report["memory"]["structured"])
    _emotions(console, report)
    _searches(console, report["searches"])
    gained.show(console, report["gained"])
    if "second" in report:
        _second(console, report["second"])
    _timings(console, report)


def name_of(segment: Json, names: dict[str, str]) -> str:
    label = label_of(segment)
    return names.get(label, f"Speaker {segment.get('speaker_id', 0)}") if label != "unknown" else "unknown"


def _transcripts(console: Console, report: Json) -> None:
    table = Table(title="Live transcript and post-processed transcript", show_lines=True, expand=True)
    table.add_column("live", ratio=1)
    table.add_column("post-processed", ratio=1)
    names = report["names"]
    live, after = report["live"]["segments"], report["post_processed"]["segments"]
    edges = sorted({float(int(item["start"] // 15) * 15) for item in [*live, *after]})
    for edge in edges:
        table.add_row(*(_window(segments, edge, names) for segments in (live, after)))
    console.print(table)


def _window(segments: list[Json], edge: float, names: dict[str, str]) -> str:
    return "\n".join(_line(item, names) for item in segments if edge <= item["start"] < edge + 15)


def _line(item: Json, names: dict[str, str]) -> str:
    return f"[dim]{item['start']:6.1f}[/dim] [bold]{name_of(item, names)}[/bold]: {item['text']}"


def _accuracy(console: Console, report: Json) -> None:
    if report["live"].get("word_error_rate") is None:
        console.print("[dim]No script for this recording: no error rates.[/dim]")
        return
    table = Table(title="Against the known script")
    for column in ("", "word error rate", "speaker labels right", "words under a segment"):
        table.add_column(column)
    for title, key in (("live", "live"), ("post-processed", "post_processed")):
        part = report[key]
        table.add_row(
            f"{title} ({part['model']})",
            f"{part['word_error_rate']:.1%}",
            f"{part['speakers']['accuracy']:.1%}",
            f"{part['speakers']['covered']:.1%}",
        )
    console.print(table)
    console.print(f"[yellow]{report['note']}[/yellow]")


def _second(console: Console, second: Json) -> None:
    """The second conversation: what was heard, how well, and its memory."""
    part = second["post_processed"]
    table = Table(title="The second conversation: fast, with fillers, self-corrections and overlap", expand=True)
    table.add_column("as it was heard")
    table.add_row("\n".join(_line(item, second["names"]) for item in part["segments"]))
    console.print(table)
    console.print(
        f"word error rate {part['word_error_rate']:.1%}, speaker labels right {part['speakers']['accuracy']:.1%}, "
        f"words under a segment {part['speakers']['covered']:.1%}"
    )
    _memory(console, "Before, from its first words", second["before"])
    _memory(console, "After post-processing", second["memory"]["structured"])


def _memory(console: Console, title: str, structured: Json) -> None:
    console.print(f"\n[dim]{title}[/dim]")
    console.print(f"{structured['emoji']}  [bold]{structured['title']}[/bold]  ({structured['category']})")
    console.print(structured["overview"])
    for item in structured["action_items"]:
        console.print(f"  [ ] {item['description']}")
    for event in structured["events"]:
        console.print(f"  [bold]{event['start']}[/bold] {event['title']} ({event['duration']} min)")


def _emotions(console: Console, report: Json) -> None:
    timeline = report["emotions"]
    table = Table(title=f"Emotions: {timeline['model']} ({timeline['kind']})")
    for column in ("seconds", "who", "strongest"):
        table.add_column(column)
    for span in timeline["spans"]:
        who = "you" if span["is_user"] else span["speaker"] or ""
        strongest = sorted(span["emotions"], key=lambda item: -item["score"])[:3]
        scores = ", ".join(f"{item['name']} {item['score']:.2f}" for item in strongest)
        table.add_row(f"{span['start']:.1f}-{span['end']:.1f}", who, scores)
    console.print(table)


def _searches(console: Console, searches: list[Json]) -> None:
    for search in searches:
        console.print(f"\n[bold]Search:[/bold] {search['query']}")
        for hit in search["hits"]:
            mark = "[green]→[/green]" if hit["id"] == search["expected"] else " "
            console.print(f"  {mark} {hit['score']:.3f}  {hit['title']}")


def _timings(console: Console, report: Json) -> None:
    table = Table(title="What each step took")
    table.add_column("step")
    table.add_column("seconds", justify="right")
    for step in report["steps"]:
        table.add_row(f"{step['name']} [dim]{step.get('outcome') or ''}[/dim]", f"{step['seconds']:.2f}")
    table.add_row("[bold]whole demo[/bold]", f"{report['seconds']:.1f}")
    console.print(table)
