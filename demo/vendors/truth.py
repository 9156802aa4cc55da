"""Recordings with known words: what the simulated speech vendors can recognise.

A truth file is JSON beside its audio: ``{"audio": "x.wav", "words": [{"word", "start", "end", "speaker"}]}`` (times in
seconds of that recording, any speaker label or null), or a list of such objects.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
ANCHOR = 8  # samples per anchor window
SEARCH_RATE = 8000  # Hz of the coarse search for audio that went through a lossy codec or a resampler
_POWERS = np.array([pow(0x9E3779B97F4A7C15, k + 1, 1 << 64) for k in range(ANCHOR)], dtype=np.uint64)


@dataclass(frozen=True)
class Word:
    """One spoken word: text as written, seconds in its recording, the recording's speaker label."""

    word: str
    start: float
    end: float
    speaker: str | None = None


def anchors(samples: Samples) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint64]]:
    """Content-defined anchor positions (about one in 64 samples) and their hashes, wherever the cut begins."""
    if len(samples) < ANCHOR:
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    wide = samples.astype(np.int64).astype(np.uint64)
    count = len(samples) - ANCHOR + 1
    hashes = np.zeros(count, np.uint64)
    for k in range(ANCHOR):
        hashes += wide[k : k + count] * _POWERS[k]
    mixed = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    flat = (samples[:count] == samples[3 : 3 + count]) & (samples[:count] == samples[7 : 7 + count])
    at = np.flatnonzero(((mixed >> np.uint64(58)) == 0) & ~flat)
    return at, mixed[at]


def resample(samples: Samples, rate: int, target: int) -> Samples:
    """Polyphase resampling of mono int16 from ``rate`` to ``target`` Hz."""
    if rate == target or len(samples) == 0:
        return samples
    from math import gcd

    from scipy.signal import resample_poly

    g = gcd(rate, target)
    out = resample_poly(samples.astype(np.float64), target // g, rate // g)
    return np.clip(np.rint(out), -32768, 32767).astype(np.int16)


@dataclass
class Recording:
    """Mono PCM with its words, sorted by time; derived forms are made once per sample rate."""

    name: str
    pcm: Samples
    rate: int
    words: list[Word]
    _at: dict[int, Samples] = field(default_factory=dict)
    _bytes: dict[int, bytes] = field(default_factory=dict)
    _anchors: dict[int, dict[int, list[int]]] = field(default_factory=dict)
    _search: tuple[int, Any, npt.NDArray[np.float64]] | None = None
    _loud: float | None = None

    def __post_init__(self) -> None:
        self.words = sorted(self.words, key=lambda w: (w.start, w.end))

    @property
    def seconds(self) -> float:
        return len(self.pcm) / self.rate

    def at(self, rate: int) -> Samples:
        if rate not in self._at:
            self._at[rate] = resample(self.pcm, self.rate, rate)
        return self._at[rate]

    def bytes_at(self, rate: int) -> bytes:
        if rate not in self._bytes:
            self._bytes[rate] = self.at(rate).tobytes()
        return self._bytes[rate]

    def anchors_at(self, rate: int) -> dict[int, list[int]]:
        if rate not in self._anchors:
            table: dict[int, list[int]] = defaultdict(list)
            where, hashes = anchors(self.at(rate))
            for position, value in zip(where.tolist(), hashes.tolist(), strict=True):
                if len(table[value]) < 8:
                    table[value].append(position)
            self._anchors[rate] = dict(table)
        return self._anchors[rate]

    @property
    def loud(self) -> float:
        """RMS of the loud parts (95th percentile over 100 ms), in int16 units."""
        if self._loud is None:
            block = max(1, self.rate // 10)
            n = max(1, len(self.pcm) // block)
            x = np.resize(self.pcm, n * block).astype(np.float64).reshape(n, block)
            self._loud = float(np.percentile(np.sqrt((x * x).mean(axis=1)), 95))
        return self._loud

    def locate(self, window: npt.NDArray[np.float64]) -> tuple[float, int]:
        """Best normalised cross-correlation of ``window`` (8 kHz, float) in this recording, and its 8 kHz position."""
        if self._search is None:
            rec = self.at(SEARCH_RATE).astype(np.float64)
            size = 1 << int(np.ceil(np.log2(len(rec) + 2 * SEARCH_RATE)))
            energy = np.concatenate(([0.0], np.cumsum(rec * rec)))
            self._search = (size, np.fft.rfft(rec, size), energy)
        size, spectrum, energy = self._search
        count = len(energy) - len(window)
        if count <= 0:
            return 0.0, 0
        corr = np.fft.irfft(spectrum * np.conj(np.fft.rfft(window, size)), size)[:count]
        norm = np.sqrt((energy[len(window) :] - energy[:count]) * float(window @ window))
        floor = self.loud * 0.1 * np.sqrt(len(window) * max(float(window @ window), 1.0))
        score = corr / np.maximum(norm, floor)
        best = int(np.argmax(score))
        return float(score[best]), best


def decode(path: str | Path | Any, rate: int | None = None) -> tuple[Samples, int]:
    """Any audio file (or file object) that PyAV reads, as mono int16 and its rate (its own, or ``rate``)."""
    import av

    with av.open(str(path) if isinstance(path, str | Path) else path) as container:
        stream = container.streams.audio[0]
        target = rate or stream.rate
        resampler = av.AudioResampler(format="s16", layout="mono", rate=target)
        parts: list[Any] = []
        for frame in container.decode(stream):
            parts += [f.to_ndarray().reshape(-1) for f in resampler.resample(frame)]
        parts += [f.to_ndarray().reshape(-1) for f in resampler.resample(None)]
    return (np.concatenate(parts).astype(np.int16) if parts else np.empty(0, np.int16)), target


class Library:
    """All recordings that a simulator knows."""

    def __init__(self, recordings: Iterable[Recording] = ()) -> None:
        self.recordings = list(recordings)

    def add(self, pcm: Samples | bytes, rate: int, words: Iterable[Word | dict[str, Any]], name: str = "") -> Recording:
        """Register PCM (mono int16, or its bytes) with its words."""
        samples = np.frombuffer(pcm, np.int16) if isinstance(pcm, bytes | bytearray) else np.asarray(pcm, np.int16)
        known = [w if isinstance(w, Word) else _word(w) for w in words]
        recording = Recording(name or f"recording-{len(self.recordings)}", samples, rate, known)
        self.recordings.append(recording)
        return recording

    def load(self, truth: str | Path) -> list[Recording]:
        """Register what a truth file names; audio paths are relative to the file."""
        truth = Path(truth)
        content = json.loads(truth.read_text())
        loaded = []
        for item in content if isinstance(content, list) else [content]:
            pcm, rate = decode(truth.parent / item["audio"])
            loaded.append(self.add(pcm, rate, item["words"], name=str(item["audio"])))
        return loaded


def _word(item: dict[str, Any]) -> Word:
    speaker = item.get("speaker")
    start, end = float(item["start"]), float(item["end"])
    return Word(str(item["word"]), start, end, None if speaker is None else str(speaker))
