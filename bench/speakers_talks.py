"""Conversations put together from recordings of readers, so that it is known who speaks when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.speakers_data import RATE, Half
from bench.speakers_trials import degrade
from transcription.segments import Segment, speaker_label

CONDITIONS = ("clean", "noise 15 dB", "room")


@dataclass(frozen=True)
class MadeTalk:
    """Audio and its true segments; ``names`` maps their labels to speakers. ``condition`` is how it was recorded."""

    pcm: NDArray[np.int16]
    segments: list[Segment]
    names: dict[str, str]
    condition: str


def make(half: Half, readers: list[str], strangers: list[str], seed: int) -> MadeTalk:
    """Turns of 1 to 6 s in random order, 0.3 to 0.8 s apart, until everybody's recordings are used up.

    Readers speak from every second of their recordings only: the others are for enrolment.
    """
    rng = np.random.default_rng(seed)
    left = {name: np.concatenate(half.readers[name][1::2]) for name in readers}
    left |= {name: half.strangers[name] for name in strangers}
    speakers = list(left)
    pieces: list[NDArray[np.int16]] = []
    segments: list[Segment] = []
    at, last = 0.0, ""
    while left:
        name = str(rng.choice([item for item in left if item != last] or list(left)))
        size = int(rng.uniform(1.0, 6.0) * RATE)
        turn, rest = left[name][:size], left[name][size:]
        if len(rest) < RATE:
            turn = left.pop(name)
        else:
            left[name] = rest
        pause = rng.normal(size=int(rng.uniform(0.3, 0.8) * RATE)) * 20
        segments.append(
            Segment(
                id=str(len(segments)),
                text="x",
                speaker=speaker_label(speakers.index(name)),
                start=at,
                end=at + len(turn) / RATE,
            )
        )
        pieces += [turn, pause.astype(np.int16)]
        at += (len(turn) + len(pause)) / RATE
        last = name
    condition = CONDITIONS[seed % len(CONDITIONS)]
    names = {speaker_label(index): name for index, name in enumerate(speakers)}
    return MadeTalk(degrade(np.concatenate(pieces), condition, seed), segments, names, condition)


def right_seconds(
    talk: MadeTalk, labelled: list[Segment], people: dict[str, str], where: NDArray[np.bool_] | None = None
) -> tuple[float, float]:
    """Seconds of true speech whose label is right, and all of them, on a grid of 10 ms (``where``: only there).

    ``people`` maps a speaker to ``user`` or a person id; for anybody else "unknown" is right.
    """
    size = _cells(talk)
    given = np.full(size, "", object)
    for segment in labelled:
        label = "user" if segment.is_user else segment.person_id or ""
        given[int(segment.start * 100) : int(segment.end * 100)] = label
    right = total = 0
    for segment in talk.segments:
        span = slice(int(segment.start * 100), int(segment.end * 100))
        counted = np.ones(size, bool)[span] if where is None else where[span]
        right += int(np.sum((given[span] == people.get(talk.names[segment.speaker], "")) & counted))
        total += int(counted.sum())
    return right / 100, total / 100


def rightly_divided(talk: MadeTalk, diarized: list[Segment]) -> NDArray[np.bool_]:
    """Where diarization is right, on the same grid: each of its voices stands for whom it holds most of."""
    true, heard = np.full(_cells(talk), "", object), np.full(_cells(talk), "", object)
    for segment in talk.segments:
        true[int(segment.start * 100) : int(segment.end * 100)] = segment.speaker
    for segment in diarized:
        heard[int(segment.start * 100) : int(segment.end * 100)] = segment.speaker
    right = np.zeros(len(true), bool)
    for voice in {segment.speaker for segment in diarized}:
        held = true[(heard == voice) & (true != "")]
        if len(held):
            names, counts = np.unique(held.astype(str), return_counts=True)
            right |= (heard == voice) & (true == names[counts.argmax()])
    return right


def _cells(talk: MadeTalk) -> int:
    return int(len(talk.pcm) / RATE * 100) + 1
