"""Resemblyzer's GE2E voice encoder (1.42 M parameters, 256-d) in NumPy, with the weights of its own wheel.

Code and weights of Resemblyzer: Apache-2.0, https://github.com/resemble-ai/Resemblyzer; GE2E: Wan et al. 2018.
Agrees with torch's LSTM and librosa's mel spectrogram to about 2e-7 (dependencies.md 3.3).
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from speakers.engines.weights import WeightsError, read_checkpoint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 16_000
WINDOW, HOP, MELS = 400, 160, 40  # 25 ms, 10 ms
PARTIAL = 160  # frames the encoder was trained on: 1.6 s
PARTIAL_SAMPLES = PARTIAL * HOP
SHORTEST = 0.1
"""Seconds below which nothing can be said of a voice; such a segment gets a row of zeros."""

_BATCH = 128  # windows at once: 128 x 160 x 1024 floats = 84 MB at most
_TARGET_DBFS = -30.0


class ResemblyzerEngine:
    """The bundled engine. Thread-safe after construction (it only reads); loading takes about 0.05 s, 6 MB."""

    name = "resemblyzer"
    version = "0.1.4"
    dimension = 256

    def __init__(self) -> None:
        self._weights = _weights()

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
        """(n, frames, 40) mels through three LSTM layers and the projection: (n, 256)."""
        weights = self._weights
        sequence = np.ascontiguousarray(mels.transpose(1, 0, 2))  # time first: each step is one contiguous block
        for layer in range(3):
            bias = weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"]
            sequence = _lstm(sequence, weights[f"lstm.weight_ih_l{layer}"], weights[f"lstm.weight_hh_l{layer}"], bias)
        raw = np.maximum(sequence[-1] @ weights["linear.weight"].T + weights["linear.bias"], 0.0)
        norms = np.linalg.norm(raw, axis=1, keepdims=True)
        embeddings: NDArray[np.float32] = raw / np.where(norms > 0, norms, np.float32(1))
        return embeddings


def _lstm(
    inputs: NDArray[np.float32], w_in: NDArray[np.float32], w_rec: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    """torch.nn.LSTM's equations (gates in the order input, forget, cell, output): (time, n, in) to (time, n, 256)."""
    steps, count, _ = inputs.shape
    size = w_rec.shape[1]
    # All inputs' share of the gates in one product: the only large BLAS call of the layer.
    gates_in = (inputs.reshape(steps * count, -1) @ w_in.T + bias).reshape(steps, count, 4 * size)
    recurrent = np.ascontiguousarray(w_rec.T)
    hidden = np.zeros((count, size), np.float32)
    cell = np.zeros((count, size), np.float32)
    outputs = np.empty((steps, count, size), np.float32)
    for step in range(steps):
        gates = gates_in[step] + hidden @ recurrent
        sigmoids = 0.5 * np.tanh(0.5 * gates) + 0.5  # the sigmoid as tanh: it cannot overflow
        candidate = np.tanh(gates[:, 2 * size : 3 * size])
        cell = sigmoids[:, size : 2 * size] * cell + sigmoids[:, :size] * candidate
        hidden = sigmoids[:, 3 * size :] * np.tanh(cell)
        outputs[step] = hidden
    return outputs


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


def weights_path() -> Path:
    """The checkpoint inside the installed wheel; WeightsError when the wheel is not installed."""
    from importlib.metadata import PackageNotFoundError, distribution
    from pathlib import Path

    try:
        return Path(str(distribution("resemblyzer").locate_file("resemblyzer/pretrained.pt")))
    except PackageNotFoundError:
        raise WeightsError("the voice weights are missing: pip install --no-deps -r requirements-weights.txt") from None


@lru_cache(maxsize=1)
def _weights() -> dict[str, NDArray[np.float32]]:
    path = weights_path()
    if not path.is_file():
        raise WeightsError(f"{path.name} is missing from the installed resemblyzer: reinstall requirements-weights.txt")
    return read_checkpoint(path, "model_state")
