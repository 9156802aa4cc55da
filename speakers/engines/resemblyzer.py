"""Resemblyzer's GE2E voice engine (1.42 M parameters, 256-d): windows, mel spectrogram, and an encoder of the weights.

The encoder is NumPy's, or ONNX Runtime's where that is asked for (docs/decisions/0009): the same name and version, for
their embeddings agree to 1e-5, and a test holds that.

Code and weights of Resemblyzer: Apache-2.0, https://github.com/resemble-ai/Resemblyzer; GE2E: Wan et al. 2018.
Agrees with torch's LSTM and librosa's mel spectrogram to about 2e-7 (dependencies.md 3.3).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from speakers.engines.encoder_numpy import NumpyEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from speakers.engines.weights import Encoder

RATE = 16_000
WINDOW, HOP, MELS = 400, 160, 40  # 25 ms, 10 ms
PARTIAL = 160  # frames the encoder was trained on: 1.6 s
PARTIAL_SAMPLES = PARTIAL * HOP
SHORTEST = 0.1
"""Seconds below which nothing can be said of a voice; such a segment gets a row of zeros."""

_BATCH = 64  # windows at once: 64 x 160 x 1024 floats are 42 MB; more is slower, for it leaves the caches
_TARGET_DBFS = -30.0


class ResemblyzerEngine:
    """The bundled engine. Thread-safe after construction (it only reads); loading takes about 0.05 s, 6 MB."""

    name = "resemblyzer"
    version = "0.1.4"
    dimension = 256

    def __init__(self, encoder: Encoder | None = None) -> None:
        self._encoder = encoder or NumpyEncoder()

    def embed_windows(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """L2-normalised (n, 256) embeddings of (n, samples) audio in [-1, 1], 16 kHz, all of one length."""
        if windows.ndim != 2 or windows.shape[1] == 0:
            raise ValueError(f"windows must have the shape (n, samples), not {windows.shape}")
        rows = [self._encode(mel_spectrogram(windows[at : at + _BATCH])) for at in range(0, len(windows), _BATCH)]
        return np.concatenate(rows) if rows else np.zeros((0, self.dimension), np.float32)

    def embed_segments(self, pcm: NDArray[np.int16], segments: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        """See `VoiceEngine`. A segment is the mean of its 1.6 s windows, every 0.8 s, as Resemblyzer's own does."""
        if pcm.dtype != np.int16 or pcm.ndim != 1:
            raise TypeError(f"audio must be a one-dimensional int16 array, not {pcm.dtype} {pcm.shape}")
        embeddings = np.zeros((len(segments), self.dimension), np.float32)
        whole: list[NDArray[np.float32]] = []
        owners: list[int] = []
        for index, (start, end) in enumerate(segments):
            audio = _levelled(pcm[max(0, round(start * RATE)) : max(0, round(end * RATE))])
            if len(audio) < SHORTEST * RATE or not audio.any():
                continue
            if len(audio) < PARTIAL_SAMPLES:  # its own length: padding would be embedded as part of the voice
                embeddings[index] = self.embed_windows(audio[None])[0]
                continue
            for at in _window_starts(len(audio)):
                whole.append(audio[at : at + PARTIAL_SAMPLES])
                owners.append(index)
            if len(whole) >= _BATCH:
                self._add(embeddings, whole, owners)
        self._add(embeddings, whole, owners)
        norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
        return (embeddings / np.where(norms > 0, norms, 1.0)).astype(np.float32)

    def _add(self, embeddings: NDArray[np.float32], windows: list[NDArray[np.float32]], owners: list[int]) -> None:
        if windows:
            np.add.at(embeddings, owners, self.embed_windows(np.stack(windows)))
            windows.clear()
            owners.clear()

    def _encode(self, mels: NDArray[np.float32]) -> NDArray[np.float32]:
        raw = self._encoder(mels)
        norms = np.linalg.norm(raw, axis=1, keepdims=True)
        return (raw / np.where(norms > 0, norms, np.float32(1))).astype(np.float32, copy=False)


def mel_spectrogram(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """librosa.feature.melspectrogram's power mels (not their logarithm): (n, samples) to (n, frames, 40)."""
    padded = np.pad(windows, ((0, 0), (WINDOW // 2, WINDOW // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)[:, ::HOP][:, : windows.shape[1] // HOP]
    hann = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    mels: NDArray[np.float32] = power.astype(np.float32) @ _mel_filters().T
    return mels


@cache
def _mel_filters() -> NDArray[np.float32]:
    """Slaney's 40 triangular filters over 0-8000 Hz with area normalisation, as librosa.filters.mel: (40, 201)."""

    def hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))

    highest = 15 + np.log(RATE / 2 / 1000) / (np.log(6.4) / 27)
    edges = hertz(np.linspace(0, highest, MELS + 2))
    bins = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters.astype(np.float32)


def _levelled(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """Resemblyzer's own level rule: raise to -30 dBFS, never lower."""
    audio: NDArray[np.float32] = pcm.astype(np.float32) / np.float32(32768)
    rms = float(np.sqrt(np.mean(audio**2))) if len(audio) else 0.0
    if rms == 0.0:
        return audio
    gain = 10 ** ((_TARGET_DBFS - 20 * np.log10(rms)) / 20)
    return (audio * np.float32(max(1.0, gain))).astype(np.float32)


def _window_starts(samples: int) -> list[int]:
    """Every 0.8 s, and one that ends where the segment ends, so that no speech of it is left out."""
    last = samples - PARTIAL_SAMPLES
    starts = list(range(0, last + 1, PARTIAL_SAMPLES // 2))
    return starts if last - starts[-1] < PARTIAL_SAMPLES // 4 else [*starts, last]
