"""The conditions in which a voice is heard later than it was enrolled: noise, a room, the telephone, simulated.

An enrolment is one clean recording, close to the microphone. The same voice in a café, across a room or over a
telephone gives another embedding. The recording is therefore embedded once more in each of these conditions, and of
all of them the one that fits best counts (``calibration``). The parameters are fixed, so that a profile that is made
again from its recording is the same profile.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
CONDITIONS = ("clean", "noise", "room", "telephone")
"""In the order in which the copies of a profile are stored."""
NOISE_DB = 10.0
"""Signal to pink noise: a café."""
REVERBERATION = 0.4
"""Seconds until a room's echo has fallen by 60 dB: a living room."""
BAND = (300.0, 3400.0)
"""Hertz that a telephone lets through; what is outside falls off over a tenth of each edge."""
_SEED = 11


def simulated(pcm: NDArray[np.int16], condition: str) -> NDArray[np.int16]:
    """16 kHz mono ``pcm`` as it would sound in one of ``CONDITIONS``: same length; "clean" gives it back."""
    if condition == "clean" or not len(pcm):
        return pcm
    audio = pcm.astype(np.float64)
    if condition == "noise":
        audio = audio + _pink(audio)
    elif condition == "room":
        audio = _echoed(audio)
    elif condition == "telephone":
        audio = _banded(audio)
    else:
        raise ValueError(f"there is no condition {condition!r}")
    peak = float(np.abs(audio).max())
    return (audio * min(1.0, 32_000 / peak) if peak > 0 else audio).astype(np.int16)


def _pink(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise whose power falls with the frequency, ``NOISE_DB`` under the power of the audio."""
    white = np.random.default_rng(_SEED).normal(size=len(audio))
    spectrum = np.fft.rfft(white) / np.sqrt(np.arange(len(audio) // 2 + 1) + 1)
    noise = np.fft.irfft(spectrum, len(audio))
    power = float(np.mean(noise**2))
    return noise * np.sqrt(np.mean(audio**2) / power) * 10 ** (-NOISE_DB / 20) if power > 0 else noise


def _echoed(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """The direct sound and a tail of decaying noise that is as strong as it."""
    length = round(REVERBERATION * RATE)
    tail = np.random.default_rng(_SEED).normal(size=length) * np.exp(-6.9 * np.arange(length) / length)
    response = np.concatenate([[1.0], tail / np.sqrt(np.sum(tail**2))])
    size = len(audio) + len(response)
    return np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(response, size), size)[: len(audio)]


def _banded(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(audio)
    hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
    low, high = BAND
    gain = np.clip((hertz - 0.9 * low) / (0.1 * low), 0, 1) * np.clip((1.1 * high - hertz) / (0.1 * high), 0, 1)
    return np.fft.irfft(spectrum * gain, len(audio))
