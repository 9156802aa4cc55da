"""Recordings for measuring voices: ``OMI_BENCH_SPEECH`` (a folder like ../shared/speech) or, without it, the bundled
ones.

Speakers are divided once, by name: one half chooses (cohort, weights, thresholds), the other half reports.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = ROOT / "demo" / "recordings"
RATE = 16_000


def speech_folder() -> Path | None:
    folder = Path(os.environ.get("OMI_BENCH_SPEECH", ROOT.parent / "shared" / "speech"))
    return folder if (folder / "index.json").is_file() else None


@dataclass(frozen=True)
class Half:
    """Readers with several recordings each (they are enrolled) and readers with one (strangers only)."""

    readers: dict[str, list[NDArray[np.int16]]]
    strangers: dict[str, NDArray[np.int16]]


def load(path: Path) -> NDArray[np.int16]:
    """Any audio file as 16 kHz mono int16."""
    import av

    pieces = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in container.decode(audio=0):
            pieces += [item.to_ndarray()[0] for item in resampler.resample(frame)]
        pieces += [item.to_ndarray()[0] for item in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.int16)


def halves(folder: Path) -> tuple[Half, Half]:
    """Choosing half, reporting half. Even positions of the sorted speaker names choose, odd ones report."""
    entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    several: dict[str, list[Path]] = {}
    single: dict[str, Path] = {}
    for entry in entries:
        if entry["file"].startswith("librispeech_test-other"):
            several.setdefault(entry["speaker"], []).append(folder / entry["file"])
        elif entry["file"].startswith("librispeech_train-clean-100"):
            single[entry["speaker"]] = folder / entry["file"]
    return _half(several, single, 0), _half(several, single, 1)


def _half(several: dict[str, list[Path]], single: dict[str, Path], side: int) -> Half:
    return Half(
        {name: [load(path) for path in sorted(several[name])] for name in sorted(several)[side::2]},
        {name: load(single[name]) for name in sorted(single)[side::2]},
    )


def meetings(folder: Path) -> Iterator[tuple[str, NDArray[np.int16], list[tuple[float, float, str]]]]:
    """AMI excerpts: name, audio, turns (start, end, speaker)."""
    entries = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    for entry in entries:
        if entry["file"].startswith("pyannote_ami"):
            turns = [(turn["start"], turn["end"], turn["speaker"]) for turn in entry["segments"]]
            yield Path(entry["file"]).stem, load(folder / entry["file"]), turns
