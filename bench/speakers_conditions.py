"""How a wearable hears a voice: degradations for measuring. Other than those that profiles are made with
(``speakers.conditions``): other code, other noise, other rooms, and some kinds that no profile knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.speakers_data import RATE

KNOWN = ("clean", "noise 15 dB", "noise 8 dB", "room", "telephone")
"""Kinds that a profile has a copy of."""
UNSEEN = ("mu-law 8 kHz", "dull microphone", "large room", "babble 10 dB")
"""Kinds that it has none of."""
CONDITIONS = (*KNOWN, *UNSEEN)


def degrade(
    pcm: NDArray[np.int16], condition: str, seed: int, *, crowd: Sequence[NDArray[np.int16]] = ()
) -> NDArray[np.int16]:
    """``pcm`` in another condition. ``crowd``: other people's speech, for babble."""
    rng = np.random.default_rng(seed)
    audio = pcm.astype(np.float64)
    if condition.startswith("noise"):
        noise = np.fft.irfft(
            np.fft.rfft(rng.normal(size=len(audio))) / np.sqrt(np.arange(len(audio) // 2 + 1) + 1), len(audio)
        )
        audio = audio + _under(audio, noise, float(condition.split()[1]))
    elif condition == "room":
        audio = _echoed(audio, rng, 0.5, 0.9, 0)
    elif condition == "large room":
        audio = _echoed(audio, rng, 0.9, 1.4, RATE // 50)
    elif condition == "telephone":
        audio = _band(audio, 300, 3400)
    elif condition == "mu-law 8 kHz":
        narrow = np.clip(_band(audio, 200, 3600) / 32768, -1, 1)
        steps = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256) * 127) / 127
        audio = np.sign(steps) * (256 ** np.abs(steps) - 1) / 255 * 32768
    elif condition == "dull microphone":
        spectrum = np.fft.rfft(audio) / np.sqrt(1 + (np.fft.rfftfreq(len(audio), 1 / RATE) / 2500) ** 8)
        audio = np.fft.irfft(spectrum, len(audio))
    elif condition.startswith("babble"):
        noise = np.zeros(len(audio))
        for at in rng.choice(len(crowd), min(6, len(crowd)), replace=False):
            voice = np.resize(crowd[at], len(audio)).astype(np.float64)
            noise += voice / np.sqrt(np.mean(voice**2) + 1)
        audio = audio + _under(audio, noise, float(condition.split()[1]))
    elif condition != "clean":
        raise ValueError(f"there is no condition {condition!r}")
    peak = np.max(np.abs(audio)) if len(audio) else 0.0
    return (audio * min(1.0, 32_000 / peak) if peak else audio).astype(np.int16)


def _under(audio: NDArray[np.float64], noise: NDArray[np.float64], decibel: float) -> NDArray[np.float64]:
    return noise * np.sqrt(np.mean(audio**2) / max(float(np.mean(noise**2)), 1e-12)) * 10 ** (-decibel / 20)


def _echoed(
    audio: NDArray[np.float64], rng: np.random.Generator, seconds: float, strength: float, delay: int
) -> NDArray[np.float64]:
    length = round(seconds * RATE)
    tail = rng.normal(size=length) * np.exp(-6.9 * np.arange(length) / length)
    response = np.concatenate([[1.0], np.zeros(delay), tail * strength / np.sqrt(np.sum(tail**2))])
    size = len(audio) + len(response)
    echoed: NDArray[np.float64] = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(response, size), size)
    return echoed[: len(audio)]


def _band(audio: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(audio)
    hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
    spectrum[(hertz < low) | (hertz > high)] = 0
    banded: NDArray[np.float64] = np.fft.irfft(spectrum, len(audio))
    return banded
