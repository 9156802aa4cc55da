"""How something was said, measured: energy, fundamental frequency, pauses. Own code, NumPy only.

F0 by normalised autocorrelation (the method of Boersma, 1993, without its path search): good for one voice at a time
near a microphone, wrong by octaves now and then, which medians and percentiles forgive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RATE = 16_000
FRAME, HOP = 640, 160  # 40 ms every 10 ms: two periods of the lowest voice
LOWEST, HIGHEST = 60.0, 400.0  # Hz
VOICED = 0.5  # normalised autocorrelation peak above which a frame has a pitch
QUIET_BELOW_PEAK = 30.0  # dB under the segment's loud frames that count as a pause
MIN_VOICED_FRAMES = 30


@dataclass(frozen=True, slots=True)
class Prosody:
    """How a segment was spoken: ``energy`` mean dBFS of sounding frames; ``pitch`` median semitones over 100 Hz;
    ``pitch_range`` semitones between the 10th and 90th percentile; ``pauses`` share of the time 0..1; ``sounding``
    seconds."""

    energy: float
    pitch: float
    pitch_range: float
    pauses: float
    sounding: float


def measure(pcm: bytes) -> Prosody | None:
    """Prosody of 16 kHz mono 16-bit samples; None where less than 0.3 s of it is voiced."""
    samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.float32) / 32768.0
    if len(samples) < FRAME:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    level = 10.0 * np.log10(np.mean(frames**2, axis=1) + 1e-10)
    sounding = level > max(float(np.percentile(level, 95)) - QUIET_BELOW_PEAK, -60.0)
    pitch = _pitch(frames[sounding])
    if np.count_nonzero(pitch) < MIN_VOICED_FRAMES:
        return None
    semitones = 12.0 * np.log2(pitch[pitch > 0] / 100.0)
    low, high = np.percentile(semitones, [10, 90])
    return Prosody(
        energy=float(level[sounding].mean()),
        pitch=float(np.median(semitones)),
        pitch_range=float(high - low),
        pauses=float(1.0 - sounding.mean()),
        sounding=float(np.count_nonzero(sounding) * HOP / RATE),
    )


def _pitch(frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """F0 in Hz per frame, 0 where there is none."""
    shortest, longest = int(RATE / HIGHEST), int(RATE / LOWEST)
    window = np.hanning(FRAME)
    spectrum = np.fft.rfft(np.ones(1) * window, 2 * FRAME)
    taper = np.fft.irfft(np.abs(spectrum) ** 2)[: longest + 1]
    found = np.zeros(len(frames))
    for first in range(0, len(frames), 2000):  # 20 s at a time: bounds memory
        block = (frames[first : first + 2000] - frames[first : first + 2000].mean(1, keepdims=True)) * window
        power = np.abs(np.fft.rfft(block, 2 * FRAME, axis=1)) ** 2
        likeness = np.fft.irfft(power, axis=1)[:, : longest + 1]
        zero = np.maximum(likeness[:, :1], 1e-12)
        normal = (likeness / zero) / (taper / taper[0])
        part = normal[:, shortest:]
        # The first lag that is nearly as good as the best: a multiple of the period is always good too.
        good = part >= 0.9 * part.max(1, keepdims=True)
        peak = good & (part >= np.roll(part, 1, 1)) & (part >= np.roll(part, -1, 1))
        lag = np.where(peak.any(1), peak.argmax(1), part.argmax(1))
        strength = part[np.arange(len(part)), lag]
        found[first : first + len(block)] = np.where(strength > VOICED, RATE / (lag + shortest), 0.0)
    return found
