"""Whisper's input: the log-mel spectrogram of 16 kHz audio (Radford et al. 2022, "Robust Speech Recognition via
Large-Scale Weak Supervision", section 2.2; 80 or 128 Slaney mel bands, windows of 25 ms every 10 ms)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
HOP = 160
WINDOW = 400
FRAMES = 3000
"""Spectrogram frames of the 30 s that the model was trained on."""


@lru_cache(maxsize=2)
def mel_filters(bands: int) -> NDArray[np.float32]:
    """Triangular filters on Slaney's scale (linear to 1 kHz, logarithmic above), shape (bands, 201)."""
    marks = np.linspace(0.0, 45.245640471924965, bands + 2)  # 45.2456 mel is 8 kHz
    hertz = np.where(marks < 15.0, marks * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (marks - 15.0)))
    bins = np.fft.rfftfreq(WINDOW, 1 / RATE)
    slopes = hertz[:, None] - bins[None, :]
    widths = np.diff(hertz)[:, None]
    filters = np.maximum(0.0, np.minimum(-slopes[:-2] / widths[:-1], slopes[2:] / widths[1:]))
    return np.asarray(filters * (2.0 / (hertz[2:] - hertz[:-2]))[:, None], np.float32)


def log_mel(pcm: NDArray[np.int16], bands: int) -> NDArray[np.float32]:
    """The spectrogram of at most 30 s, shape (bands, FRAMES): what is shorter is followed by silence."""
    audio = np.zeros(FRAMES * HOP, np.float32)
    audio[: len(pcm)] = pcm[: len(audio)] / np.float32(32768)
    padded = np.pad(audio, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: FRAMES * HOP : HOP]
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    # The frames behind the audio are silent: transforming only those that hold some saves most of a short one's time.
    used = min(FRAMES, (len(pcm) + WINDOW) // HOP + 1)
    power = np.zeros((WINDOW // 2 + 1, FRAMES), np.float32)
    power[:, :used] = np.abs(np.fft.rfft(frames[:used] * window, axis=-1)).T.astype(np.float32) ** 2
    spectrum = np.log10(np.maximum(mel_filters(bands) @ power, 1e-10))
    return np.asarray((np.maximum(spectrum, spectrum.max() - 8.0) + 4.0) / 4.0, np.float32)
