"""Diarization error rate: `python -m bench.diarization [RTTM AUDIO]...` (default: the bundled conversation).

The score is NIST's: missed, false and confused speech over the reference speech, with and without overlapped speech,
at a collar of 0.25 s around reference boundaries, on a grid of 10 ms, speakers matched by the best assignment.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRID = 0.01
RECORDINGS = Path(__file__).resolve().parents[1] / "demo" / "recordings"


class Labelled(NamedTuple):
    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Score:
    """Seconds. `rate` is the diarization error rate."""

    speech: float
    missed: float
    false_alarm: float
    confusion: float

    @property
    def rate(self) -> float:
        return (self.missed + self.false_alarm + self.confusion) / self.speech if self.speech else 0.0


def score(
    reference: Sequence[Labelled],
    hypothesis: Sequence[Labelled],
    duration: float,
    *,
    collar: float = 0.25,
    overlap: bool = True,
) -> Score:
    """The diarization error of `hypothesis`; `overlap=False` leaves out where the reference has two speakers."""
    from scipy.optimize import linear_sum_assignment

    true, heard = _grid(reference, duration), _grid(hypothesis, duration)
    scored = np.ones(true.shape[1], bool)
    for turn in reference:
        for edge in (turn.start, turn.end):
            scored[max(0, round((edge - collar) / GRID)) : max(0, round((edge + collar) / GRID))] = False
    if not overlap:
        scored &= true.sum(axis=0) < 2
    true, heard = true[:, scored], heard[:, scored]
    n_true, n_heard = true.sum(axis=0), heard.sum(axis=0)
    together = true.astype(int) @ heard.astype(int).T
    matched = together[linear_sum_assignment(-together)].sum()
    return Score(
        speech=float(n_true.sum() * GRID),
        missed=float(np.maximum(0, n_true - n_heard).sum() * GRID),
        false_alarm=float(np.maximum(0, n_heard - n_true).sum() * GRID),
        confusion=float((np.minimum(n_true, n_heard).sum() - matched) * GRID),
    )


def _grid(turns: Sequence[Labelled], duration: float) -> NDArray[np.bool_]:
    names = sorted({turn.speaker for turn in turns})
    grid = np.zeros((len(names), round(duration / GRID)), bool)
    for turn in turns:
        grid[names.index(turn.speaker), round(turn.start / GRID) : round(turn.end / GRID)] = True
    return grid


def read_rttm(path: Path) -> list[Labelled]:
    rows = [line.split() for line in path.read_text().splitlines() if line.startswith("SPEAKER")]
    return [Labelled(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows]


def read_audio(path: Path) -> NDArray[np.int16]:
    """Any file PyAV reads, as 16 kHz mono samples."""
    import av

    resampler = av.AudioResampler("s16", "mono", 16_000)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])


def conversation() -> list[Labelled]:
    turns = json.loads((RECORDINGS / "conversation.json").read_text())["turns"]
    return [Labelled(turn["start"], turn["end"], turn["speaker"]) for turn in turns]


def measure(name: str, pcm: NDArray[np.int16], reference: Sequence[Labelled]) -> None:
    from speakers.diarization import diarize
    from speakers.engines.campplus import CampplusEngine
    from transcription.audio.vad import speech_regions

    duration = len(pcm) / 16_000
    regions = speech_regions(pcm)
    engine = CampplusEngine()
    began = time.process_time()
    turns = [Labelled(t.start, t.end, str(t.speaker)) for t in diarize(pcm, regions, engine)]
    cpu = time.process_time() - began
    oracle = [Labelled(t.start, t.end, str(t.speaker)) for t in diarize(pcm, merged(reference), engine)]
    found, true = len({t.speaker for t in turns}), len({t.speaker for t in reference})
    every, single = score(reference, turns, duration), score(reference, turns, duration, overlap=False)
    given = score(reference, oracle, duration, overlap=False)
    print(
        f"{name:24s} {duration:6.1f} s  speakers {found} of {true}  DER {every.rate:6.1%}  without overlap "
        f"{single.rate:6.1%} (missed {single.missed:.1f} false {single.false_alarm:.1f} confused "
        f"{single.confusion:.1f} s)  with given speech {given.rate:6.1%}  {duration / max(cpu, 1e-9):.0f} x real time"
    )


def merged(turns: Sequence[Labelled]) -> list[tuple[float, float]]:
    """The reference's speech regions, whoever speaks."""
    regions: list[tuple[float, float]] = []
    for turn in sorted(turns):
        if regions and turn.start <= regions[-1][1]:
            regions[-1] = (regions[-1][0], max(regions[-1][1], turn.end))
        else:
            regions.append((turn.start, turn.end))
    return regions


def main(arguments: Sequence[str]) -> None:
    if not arguments:
        measure("bundled conversation", read_audio(RECORDINGS / "conversation.flac"), conversation())
    for rttm, audio in zip(arguments[::2], arguments[1::2], strict=True):
        measure(Path(audio).stem, read_audio(Path(audio)), read_rttm(Path(rttm)))


if __name__ == "__main__":
    main(sys.argv[1:])
