"""``python -m bench.label_drops [--talks N]``: how many seconds have the right speaker after drops.

Conversations of real voices (the reporting side, as ``bench.conversations`` makes them). The vendor tells speakers
apart rightly and counts them anew after each drop. Printed is the share of seconds whose label is their speaker's, each
label standing for one speaker: as the vendor gave them, joined by the voices in the audio (a client that comes back:
every vendor counts anew), and joined by another vendor that heard everything on one connection.
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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--talks", type=int, default=100)
    parser.add_argument("--people", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        start_django(name)
        from django.conf import settings

        settings.PROVIDERS["voices"] = {"BACKEND": "bench.conversations_data.RememberingVoices"}
        measure(Path(name), given.talks, given.people)


def measure(folder: Path, talks: int, crowd: int) -> None:
    from bench.conversations_data import live_segments, make, talkers, true_segments
    from memories.pipeline import same_time, short_voices
    from speakers.turns import connections, repair_labels

    chosen = sides(speakers(speech_folder()))[1]
    people = talkers(chosen[:: max(1, len(chosen) // crowd)])
    found: dict[str, list[float]] = defaultdict(list)
    seed = -1
    while len(found["as given"]) < talks:
        seed += 1
        talk = make(people, people[seed % len(people)], seed)
        if talk.drops < 2:
            continue
        wav = write_wav(folder / "talk.wav", talk.pcm)
        names = [turn.name for turn in talk.turns]
        shown = live_segments(talk)
        owner = connections(shown)
        repaired = repair_labels(shown, wav)
        steps = {
            "as given": shown,
            "joined where each has enough evidence": repaired,
            "and short voices with the nearest": short_voices.joined(repaired, owner, wav),
            "by another vendor at the same time": same_time.joined(shown, owner, true_segments(talk)),
        }
        for title, segments in steps.items():
            found[title].append(right(segments, names))
        if len(found["as given"]) % 10 == 0:
            for title, values in found.items():
                print(f"{len(values):4d} talks  {title:40s} mean {np.mean(values):.3f}  worst tenth "
                      f"{np.quantile(values, 0.1):.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
