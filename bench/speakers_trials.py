"""Verification trials: a profile against pooled speech of one voice, clean and as a wearable hears it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.speakers_data import RATE, Half
from speakers.clips import centroid, voiced, windows
from speakers.engines import VoiceEngine

SECONDS = (2.0, 3.0, 5.0, 10.0, 15.0)
CONDITIONS = ("clean", "noise 15 dB", "noise 8 dB", "room", "telephone")
PROFILE_SECONDS = 25.0


class Trial(NamedTuple):
    """``target``: same speaker. ``cosine`` and ``snorm`` of probe and profile; ``seconds`` of the probe; ``cosines``
    of the probe with every profile of the half, for rank decisions."""

    target: bool
    cosine: float
    snorm: float
    seconds: float
    condition: str
    probe: str
    profile: str


@dataclass(frozen=True)
class Voices:
    """Embedded voices of one half: profiles by reader, probes (reader or stranger, seconds, condition, embedding)."""

    profiles: dict[str, NDArray[np.float32]]
    probes: list[tuple[str, float, str, NDArray[np.float32]]]
    strangers: dict[str, NDArray[np.float32]]


def degrade(pcm: NDArray[np.int16], condition: str, seed: int) -> NDArray[np.int16]:
    """``pcm`` in another condition: pink noise, a room of 0.5 s reverberation at 2 m, or the telephone's band."""
    rng = np.random.default_rng(seed)
    audio = pcm.astype(np.float64)
    if condition.startswith("noise"):
        noise = np.fft.irfft(
            np.fft.rfft(rng.normal(size=len(audio))) / np.sqrt(np.arange(len(audio) // 2 + 1) + 1), len(audio)
        )
        gain = np.sqrt(np.mean(audio**2) / np.mean(noise**2)) * 10 ** (-float(condition.split()[1]) / 20)
        audio = audio + gain * noise
    elif condition == "room":
        tail = rng.normal(size=RATE // 2) * np.exp(-6.9 * np.arange(RATE // 2) / (0.5 * RATE))
        response = np.concatenate([[1.0], tail * 0.9 / np.sqrt(np.sum(tail**2))])
        size = len(audio) + len(response)
        audio = np.fft.irfft(np.fft.rfft(audio, size) * np.fft.rfft(response, size), size)[: len(audio)]
    elif condition == "telephone":
        spectrum = np.fft.rfft(audio)
        hertz = np.fft.rfftfreq(len(audio), 1 / RATE)
        spectrum[(hertz < 300) | (hertz > 3400)] = 0
        audio = np.fft.irfft(spectrum, len(audio))
    peak = np.max(np.abs(audio)) if len(audio) else 0.0
    return (audio * min(1.0, 32_000 / peak) if peak else audio).astype(np.int16)


def embed(engine: VoiceEngine, pcm: NDArray[np.int16]) -> NDArray[np.float32] | None:
    return centroid(engine.embed_segments(pcm, windows(len(pcm) / RATE)))


def embed_half(engine: VoiceEngine, half: Half) -> Voices:
    """Profiles from every second recording (clean), probes from the others and from strangers, in all conditions."""
    profiles: dict[str, NDArray[np.float32]] = {}
    probes: list[tuple[str, float, str, NDArray[np.float32]]] = []
    for name, recordings in half.readers.items():
        speech = np.concatenate([voiced(item) for item in recordings[::2]])[: int(PROFILE_SECONDS * RATE)]
        vector = embed(engine, speech)
        assert vector is not None
        profiles[name] = vector
        probes += _probes(engine, name, np.concatenate(recordings[1::2]), most=4)
    strangers: dict[str, NDArray[np.float32]] = {}
    for name, recording in half.strangers.items():
        vector = embed(engine, voiced(recording))
        assert vector is not None
        strangers[name] = vector
        probes += _probes(engine, name, recording, most=2)
    return Voices(profiles, probes, strangers)


def _probes(
    engine: VoiceEngine, name: str, recording: NDArray[np.int16], *, most: int
) -> list[tuple[str, float, str, NDArray[np.float32]]]:
    found = []
    for number, condition in enumerate(CONDITIONS):
        speech = voiced(degrade(recording, condition, seed=number))
        for seconds in SECONDS:
            size = int(seconds * RATE)
            count = min(most, len(speech) // size)
            for start in np.linspace(0, len(speech) - size, count).astype(int) if count else []:
                vector = embed(engine, speech[start : start + size])
                if vector is not None:
                    found.append((name, seconds, condition, vector))
    return found


def trials(voices: Voices, cohort: dict[str, NDArray[np.float32]]) -> list[Trial]:
    """Every probe against every profile. A speaker of the trial is never in its own cohort."""
    found = []
    for name, seconds, condition, vector in voices.probes:
        for reader, profile in voices.profiles.items():
            others = np.stack([row for key, row in cohort.items() if key not in (name, reader)])
            cosine = float(profile @ vector)
            found.append(
                Trial(name == reader, cosine, snorm(cosine, vector, profile, others), seconds, condition, name, reader)
            )
    return found


def snorm(cosine: float, test: NDArray[np.float32], profile: NDArray[np.float32], cohort: NDArray[np.float32]) -> float:
    from speakers.calibration import Calibration

    row = Calibration("", "", 0.0, 1.0, cohort).snorm(np.array([cosine], np.float32), test, profile[None])
    return float(row[0])


def eer(scores: NDArray[np.float64], target: NDArray[np.bool_]) -> float:
    """Equal error rate: where misses and false accepts are nearest to equal. NaN without both kinds."""
    if not target.any() or target.all():
        return float("nan")
    order = np.argsort(scores)
    hits = target[order]
    misses = np.concatenate([[0.0], np.cumsum(hits)]) / hits.sum()
    accepts = 1 - np.concatenate([[0.0], np.cumsum(~hits)]) / (~hits).sum()
    at = int(np.argmin(np.abs(misses - accepts)))
    return float((misses[at] + accepts[at]) / 2)
