"""How well the local diarization counts voices, and whether it notices somebody who says one sentence.

Twenty-four conversations of a half: one to three voices of which each says much, in every second one a guest who says 2
to 3.4 s once; clean, noisy, reverberant and over the telephone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.speakers_conditions import degrade
from bench.speakers_data import RATE, Half

TALKS = 24
CONDITIONS = ("clean", "noise 15 dB", "room", "telephone")
LONGEST = 45
"""Seconds that one reader says in all."""


@dataclass(frozen=True)
class Talk:
    """``turns``: (start, end, speaker); ``guest`` says one of them, or is empty."""

    pcm: NDArray[np.int16]
    turns: list[tuple[float, float, str]]
    guest: str


def make(half: Half, seed: int) -> Talk:
    rng = np.random.default_rng(seed)
    readers, names = sorted(half.readers), sorted(half.strangers)
    left: dict[str, NDArray[np.int16]] = {}
    for index in range(1 + seed % 3):
        if index < min(2, len(readers)):
            reader = readers[(seed + index) % len(readers)]
            left[reader] = np.concatenate(half.readers[reader])[: LONGEST * RATE]
        else:
            name = names[(seed * 3 + index) % len(names)]
            left[name] = half.strangers[name]
    guest = names[(seed * 5 + 7) % len(names)] if seed % 2 == 0 else ""
    guest = "" if guest in left else guest
    waiting, last, at = guest, "", 0.0
    pieces: list[NDArray[np.int16]] = []
    turns: list[tuple[float, float, str]] = []
    while left or waiting:
        if waiting and (not left or (at > 15 and rng.random() < 0.3)):
            name, waiting = waiting, ""
            size, speech = int(rng.uniform(2.0, 3.4) * RATE), half.strangers[name]
            first = int(rng.integers(0, len(speech) - size))
            turn = speech[first : first + size]
        else:
            name = str(rng.choice([item for item in left if item != last] or list(left)))
            size = int(rng.uniform(1, 6) * RATE)
            turn, rest = left[name][:size], left[name][size:]
            if len(rest) < RATE:
                turn = left.pop(name)
            else:
                left[name] = rest
        pause = (rng.normal(size=int(rng.uniform(0.3, 0.8) * RATE)) * 20).astype(np.int16)
        turns.append((at, at + len(turn) / RATE, name))
        pieces += [turn, pause]
        at += (len(turn) + len(pause)) / RATE
        last = name
    condition = CONDITIONS[seed // 2 % 4]
    return Talk(degrade(np.concatenate(pieces), condition, seed), turns, guest)


def measure(title: str, half: Half) -> None:
    """Voices counted rightly, seconds given to the wrong voice, guests found: voices are matched by best assignment."""
    from scipy.optimize import linear_sum_assignment

    from omi.core.providers import one
    from speakers.diarization import diarize

    engine = one("voices")
    counted = more = fewer = guests = found = 0
    wrong = total = 0.0
    for seed in range(TALKS):
        talk = make(half, seed)
        turns = diarize(talk.pcm, engine.speech_regions(talk.pcm), engine)
        size = len(talk.pcm) * 100 // RATE + 100
        true, heard = np.full(size, "", object), np.full(size, -1)
        for start, end, name in talk.turns:
            true[int(start * 100) : int(end * 100)] = name
        for turn in turns:
            heard[int(turn.start * 100) : int(turn.end * 100)] = turn.speaker
        both = (true != "") & (heard >= 0)
        names, voices = sorted({name for _, _, name in talk.turns}), sorted({turn.speaker for turn in turns})
        held = np.array([[np.sum(both & (true == name) & (heard == voice)) for voice in voices] for name in names])
        rows, columns = linear_sum_assignment(-held)
        counted += len(voices) == len(names)
        more += max(0, len(voices) - len(names))
        fewer += max(0, len(names) - len(voices))
        wrong += (both.sum() - held[rows, columns].sum()) / 100
        total += both.sum() / 100
        if talk.guest:
            guests += 1
            matched = dict(zip(rows, columns, strict=True)).get(names.index(talk.guest))
            said = held[names.index(talk.guest)]
            found += bool(matched is not None and said[matched] > said.sum() / 2)
    print(
        f"  {title:10s} voices counted rightly in {counted} of {TALKS} (too many {more}, too few {fewer}), "
        f"{wrong:.0f} of {total:.0f} s given to the wrong one, guests found {found} of {guests}"
    )
