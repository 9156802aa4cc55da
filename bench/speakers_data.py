"""Recordings for measuring voices: ``OMI_BENCH_SPEECH`` (recordings with an index.json) or, without it, the bundled
ones.

Speakers are divided once, by name within each corpus and sex: one half chooses (features, weights, thresholds), the
other half reports.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from speakers.clips import without

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


class Named(Protocol):
    """What a division needs to know of a speaker."""

    @property
    def corpus(self) -> str: ...

    @property
    def sex(self) -> str: ...


S = TypeVar("S", bound=Named)


@dataclass(frozen=True)
class Speaker:
    """Everything that is there of one person, in the order of the files. ``accent``: of their English."""

    name: str
    corpus: str
    sex: str
    accent: str
    licence: str
    pcm: NDArray[np.int16]


CORPORA = {
    "librispeech": "LibriSpeech", "ls": "LibriSpeech", "so": "speechocean762", "lj": "LJ Speech", "vctk": "VCTK",
    "pbx": "Asterisk sounds", "jfk": "JFK",
}  # fmt: skip
ACCENTS = {"speechocean762": "Mandarin", "AMI": "mixed, meeting", "Asterisk sounds": "Russian (speaks Russian)"}


def speakers(folder: Path) -> list[Speaker]:
    """Every voice of the folder, by name. Of a meeting only what one says while nobody else speaks."""
    files: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    meeting: dict[str, list[NDArray[np.int16]]] = {}
    licences: dict[str, str] = {}
    for root in (folder, folder / "more"):
        index = root / "index.json"
        for entry in json.loads(index.read_text(encoding="utf-8")) if index.is_file() else []:
            if "ami" in entry["file"].split("/")[0]:
                for name, pcm in _alone(load(root / entry["file"]), entry["segments"]):
                    meeting.setdefault(name, []).append(pcm)
                    licences[name] = entry["licence"]
            else:
                known = entry["speaker"] if entry["file"] != "jfk.flac" else "jfk"
                name = f"ls{known}" if known.isdigit() else known
                files.setdefault(name, []).append((root / entry["file"], entry))
    found = []
    for name, items in files.items():
        entry = items[0][1]
        corpus = next(value for key, value in CORPORA.items() if entry["file"].startswith(key))
        pcm = np.concatenate([load(path) for path, _ in sorted(items, key=lambda item: item[0])])
        accent = ACCENTS.get(corpus, "native or unknown")
        found.append(Speaker(name, corpus, entry.get("sex") or "M", accent, entry["licence"], pcm))
    for name, pieces in meeting.items():
        found.append(Speaker(name, "AMI", name[0], ACCENTS["AMI"], licences[name], np.concatenate(pieces)))
    return sorted(found, key=lambda speaker: speaker.name)


def _alone(pcm: NDArray[np.int16], turns: list[dict[str, Any]]) -> Iterator[tuple[str, NDArray[np.int16]]]:
    for turn in turns:
        others = [(item["start"], item["end"]) for item in turns if item["speaker"] != turn["speaker"]]
        for start, end in without([(turn["start"], turn["end"])], others):
            yield turn["speaker"], pcm[round(start * RATE) : round(end * RATE)]


def sides(people: Sequence[S]) -> tuple[list[S], list[S]]:
    """Choosing side, reporting side: every second one by name within each corpus and sex, so that each corpus stands on
    both; a corpus with one speaker goes to the side that has fewer."""
    groups: dict[tuple[str, str], list[S]] = {}
    for speaker in people:
        groups.setdefault((speaker.corpus, speaker.sex), []).append(speaker)
    halves: tuple[list[S], list[S]] = ([], [])
    for key in sorted(groups):
        first = int(len(halves[0]) > len(halves[1]))
        for at, speaker in enumerate(groups[key]):
            halves[(first + at) % 2].append(speaker)
    return halves


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
