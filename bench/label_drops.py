"""``python -m bench.label_drops [--talks N] [--half choosing] [--short]``: whose label the seconds have after drops.

Conversations of real voices, as ``bench.conversations`` makes them. The vendor tells speakers
apart rightly and counts them anew after each drop. Printed is the share of seconds whose label is their speaker's, each
label standing for one speaker: as the vendor gave them, joined by the voices in the audio (a client that comes back:
every vendor counts anew), and joined by another vendor that heard everything on one connection. Also printed is the
share of seconds that stand under the label of somebody else who says more there: a stranger's, joined to a voice.

The bounds of ``speakers.turns`` were chosen on conversations of the choosing side's voices (``--half choosing``), of
whom nobody speaks in those of the reporting side. ``--short``: turns of 1.5 and 2.5 s instead of 4.4 s.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.speakers import start_django, write_wav
from bench.speakers_data import sides, speakers, speech_folder


def right(segments: Sequence, names: Sequence[str]) -> float:  # type: ignore[type-arg]
    held: dict[tuple[str, str], float] = defaultdict(float)
    for item, name in zip(segments, names, strict=True):
        held[item.speaker, name] += item.end - item.start
    labels, people, total = set(), set(), 0.0
    for (label, name), seconds in sorted(held.items(), key=lambda pair: -pair[1]):
        if label not in labels and name not in people:
            labels.add(label)
            people.add(name)
            total += seconds
    return total / sum(held.values())


def mixed(segments: Sequence, names: Sequence[str]) -> float:  # type: ignore[type-arg]
    held: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for item, name in zip(segments, names, strict=True):
        held[item.speaker][name] += item.end - item.start
    total = sum(sum(people.values()) for people in held.values())
    return sum(sum(people.values()) - max(people.values()) for people in held.values()) / total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--talks", type=int, default=100)
    parser.add_argument("--half", choices=("reporting", "choosing"), default="reporting")
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        start_django(name)
        from django.conf import settings

        settings.PROVIDERS["voices"] = {"BACKEND": "bench.conversations_data.RememberingVoices"}
        measure(Path(name), given.talks, given.half, short=given.short)


def measure(folder: Path, talks: int, half: str, *, short: bool) -> None:
    from bench.conversations_data import live_segments, make, talkers, true_segments
    from memories.pipeline.rules import voice_matching
    from speakers.turns import connections, relabelled, repair_labels

    recordings = speech_folder()
    if recordings is None:
        raise SystemExit("No recordings of real voices here: OMI_BENCH_SPEECH names their folder")
    people = talkers(sides(speakers(recordings))[half == "reporting"])
    found: dict[str, list[float]] = defaultdict(list)
    others: dict[str, list[float]] = defaultdict(list)
    seed = -1
    while len(found["as given"]) < talks:
        seed += 1
        talk = make(people, people[seed % len(people)], seed)
        if talk.drops < 2:
            continue
        wav = write_wav(folder / "talk.wav", talk.pcm)
        names = [turn.name for turn in talk.turns]
        shown = live_segments(talk)
        if short:
            shown = [
                item.model_copy(update={"end": item.start + (1.5 if number % 2 else 2.5)})
                for number, item in enumerate(shown)
            ]
        owner = connections(shown)
        told = voice_matching.voices(shown, owner, true_segments(talk))
        steps = {
            "as given": shown,
            "joined by the voices in the audio": repair_labels(shown, wav),
            "by another vendor at the same time": relabelled(shown, owner, told),
        }
        for title, segments in steps.items():
            found[title].append(right(segments, names))
            others[title].append(mixed(segments, names))
        if len(found["as given"]) % 10 == 0:
            for title, values in found.items():
                print(f"{len(values):4d} talks  {title:40s} mean {np.mean(values):.3f}  worst tenth "
                      f"{np.quantile(values, 0.1):.3f}  mixed {np.mean(others[title]):.4f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
