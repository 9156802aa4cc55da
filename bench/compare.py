"""``make bench-compare``: is the product slower than it was? Ratios on this machine, against the last stored ones.

Each piece of work is timed in turns with a fixed loop that uses no code of the project, in processor time: the ratio
of the two hardly moves with the machine's load. A figure is the median of the rounds with an interval by resampling
them. A piece counts as slower where its interval lies above that of the last entry of the same machine by more than
``SLACK``.

    python -m bench.compare               compare; the exit code says whether anything got slower
    python -m bench.compare --write       compare, append to bench/history.json, write docs/benchmarks-history.md
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
HISTORY = ROOT / "bench" / "history.json"
PAGE = ROOT / "docs" / "benchmarks-history.md"
ROUNDS = 15
SLACK = 0.15
"""How much slower, beyond both intervals, is said to be slower: caches and other work move a ratio by a tenth."""


def baseline() -> None:
    """A fixed piece of work: text, dictionaries, hashing and numbers, as the product does them."""
    found: dict[str, int] = {}
    for turn in range(4000):
        word = f"word{turn % 701}"
        found[word] = found.get(word, 0) + len(word)
    json.loads(json.dumps(found))
    for _ in range(40):
        hashlib.sha256(b"x" * 4096).digest()
    np.sort(np.random.default_rng(1).random(20_000)).cumsum()


def pieces() -> dict[str, Callable[[], Any]]:
    """What is measured: pure pieces of the product, with inputs that are the same every time."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    from memories.experiments import sequential
    from memories.learning.learner import Point, threshold_proposal
    from memories.pipeline.engine import content_hash
    from memories.pipeline.rules import acceptance
    from memories.structuring.discard import content_words
    from transcription.consensus import vote, weights_from
    from transcription.segments import Word, render, segments_from_words

    chance = np.random.default_rng(7)
    known = [f"term{number}" for number in range(400)]

    def talk(count: int, wrong: float = 0.0) -> list[Word]:
        return [
            Word(text=f"un{word}" if chance.random() < wrong else word, start=at * 0.4, end=at * 0.4 + 0.3,
                 speaker=f"SPEAKER_0{at // 25 % 3}")
            for at, word in enumerate(known[number] for number in np.arange(count) * 37 % 400)
        ]  # fmt: skip

    long, other = talk(1500), talk(1500, 0.1)
    segments = segments_from_words(long, scope="a", provider="x")
    shown = segments_from_words(other, scope="b", provider="y")
    heard = {name: talk(300, wrong) for name, wrong in (("a", 0.05), ("b", 0.1), ("c", 0.15))}
    body = [item.model_dump(mode="json") for item in segments]
    draws = chance.random(5000)
    points = [Point(float(value), bool(value > 0.6), str(at)) for at, value in enumerate(chance.random(500))]
    regions = [(0.0, 600.0)]
    return {
        "words to segments": lambda: segments_from_words(long, scope="a", provider="x"),
        "never worse": lambda: acceptance.assess(new=segments, shown=shown, live={"y": shown}, regions=regions),
        "vote of three vendors": lambda: vote(heard, weights_from(dict.fromkeys(heard, 0.9))),
        "transcript as text": lambda: render(segments, names={}),
        "different words of a talk": lambda: content_words(segments),
        "checkpoint packed and read": lambda: content_hash.unpack(content_hash.pack(body)[1]),
        "confidence sequence": lambda: sequential.path(draws, alpha=0.05, planned=200),
        "a threshold learned": lambda: list(
            threshold_proposal(points, [0.4, 0.5, 0.6, 0.7], 0.5, learner="b", name="n", least=40, told="t")
        ),
    }


def measured(work: dict[str, Callable[[], Any]]) -> dict[str, dict[str, float]]:
    """Processor time of each piece against the baseline's: median, and an interval of 95 % by resampling the rounds."""
    ratios: dict[str, list[float]] = {name: [] for name in work}
    for name, piece in work.items():
        piece()  # caches are warm in every round
        baseline()
        for _ in range(ROUNDS):
            fixed, own = _seconds(baseline), _seconds(piece)
            ratios[name].append(own / fixed)
    chance = np.random.default_rng(20261129)
    found = {}
    for name, values in ratios.items():
        medians = np.median(chance.choice(values, (1000, len(values))), axis=1)
        low, high = np.percentile(medians, [2.5, 97.5])
        found[name] = {"ratio": round(float(np.median(values)), 4), "low": round(float(low), 4),
                       "high": round(float(high), 4)}  # fmt: skip
    return found


def _seconds(work: Callable[[], Any]) -> float:
    """Of one call: the best of three looks, each as many calls as take a few milliseconds."""
    best = float("inf")
    for _ in range(3):
        began, calls = time.process_time(), 0
        while (passed := time.process_time() - began) < 0.004 or not calls:
            work()
            calls += 1
        best = min(best, passed / calls if calls else best)
    return best


def machine() -> str:
    """Names the machine by what decides its speed: processor, cores, Python. Nothing that tells whose it is."""
    cpu = next(
        (line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.processor(),
    )
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}"


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def compared(now: dict[str, dict[str, float]], before: dict[str, dict[str, float]]) -> dict[str, str]:
    """``slower``, ``faster``, ``as before`` or ``new`` for each figure."""
    told = {}
    for name, figure in now.items():
        last = before.get(name)
        if last is None:
            told[name] = "new"
        elif figure["low"] > last["high"] * (1 + SLACK):
            told[name] = "slower"
        else:
            told[name] = "faster" if figure["high"] * (1 + SLACK) < last["low"] else "as before"
    return told


def history() -> list[dict[str, Any]]:
    return list(json.loads(HISTORY.read_text())) if HISTORY.exists() else []


def page(entries: list[dict[str, Any]]) -> str:
    """The history as Markdown: a table a machine, the newest entry first."""
    lines = [
        "# Benchmarks: history", "",
        "Written by `python -m bench.compare --write` from `bench/history.json`; `make bench-compare` holds",
        "the product against the last entry of the same machine. Each figure is processor time as a multiple",
        "of a fixed loop that is timed in turns with it (median, 95 % interval of the rounds): other work on",
        "the machine moves both. Larger is slower.", "",
    ]  # fmt: skip
    for name in dict.fromkeys(entry["machine"] for entry in reversed(entries)):
        own = [entry for entry in reversed(entries) if entry["machine"] == name][:10]
        figures = list(dict.fromkeys(figure for entry in own for figure in entry["figures"]))
        lines += [f"## {name}", "", f"| when, version | {' | '.join(figures)} |", f"| --- |{' --- |' * len(figures)}"]
        for entry in own:
            cells = [_cell(entry["figures"].get(figure)) for figure in figures]
            lines.append(f"| {entry['at'][:10]}, {entry['commit']} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(figure: dict[str, float] | None) -> str:
    return "-" if figure is None else f"{figure['ratio']:.3g} ({figure['low']:.3g} to {figure['high']:.3g})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="append these figures to the history")
    options = parser.parse_args()
    entries, here = history(), machine()
    last = next((entry for entry in reversed(entries) if entry["machine"] == here), None)
    figures = measured(pieces())
    told = compared(figures, last["figures"] if last is not None else {})
    for name, figure in figures.items():
        before = _cell(last["figures"].get(name)) if last is not None else "-"
        print(f"{name:<28} {_cell(figure):<24} before {before:<24} {told[name]}")
    if last is None:
        print("There are no figures of this machine yet: --write stores these.")
    if options.write:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        entries.append({"machine": here, "at": at, "commit": commit.stdout.strip() or "-", "figures": figures})
        HISTORY.write_text(json.dumps(entries, indent=1) + "\n")
        PAGE.write_text(page(entries))
    slower = [name for name, verdict in told.items() if verdict == "slower"]
    if slower:
        print(f"Slower than before: {', '.join(slower)}.", file=sys.stderr)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
