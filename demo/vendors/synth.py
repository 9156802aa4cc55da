"""Synthetic recordings for tests: each word is its own burst of coloured noise, so no two words sound alike."""

from __future__ import annotations

import numpy as np

from demo.vendors.truth import Recording, Samples, Word


def burst(seed: int, seconds: float, rate: int) -> Samples:
    """A speech-band burst (harmonics of a gliding pitch plus noise), unlike that of any other seed."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * rate)) / rate
    pitch = np.linspace(*rng.uniform(90, 260, 2), len(t))
    phase = 2 * np.pi * np.cumsum(pitch) / rate + rng.uniform(0, 6.28)
    harmonics = min(14, int(rate * 0.4 / 260))
    voice = sum(rng.uniform(0.1, 1.0) * np.sin(k * phase + rng.uniform(0, 6.28)) for k in range(1, harmonics + 1))
    noise = np.convolve(rng.standard_normal(len(t)), np.ones(4) / 4, "same")
    x = (voice + noise) * np.hanning(len(t)) ** 0.3
    return (x / np.max(np.abs(x)) * 12000).astype(np.int16)


def speech(
    text: str,
    rate: int = 16000,
    seed: int = 1,
    word_s: float = 0.3,
    gap_s: float = 0.1,
    pause_s: float = 0.8,
    lead_s: float = 0.3,
    noise: float = 3.0,
) -> Recording:
    """A recording of ``text``: ``|`` makes a pause, a token ``<name>`` changes the speaker."""
    rng = np.random.default_rng(seed)
    parts: list[Samples] = [np.zeros(int(lead_s * rate), np.int16)]
    words: list[Word] = []
    at, speaker = len(parts[0]), "A"
    for number, token in enumerate(text.split()):
        if token.startswith("<"):
            speaker = token.strip("<>")
            continue
        seconds = pause_s if token == "|" else word_s
        piece = np.zeros(int(seconds * rate), np.int16) if token == "|" else burst(seed * 1000 + number, seconds, rate)
        if token != "|":
            words.append(Word(token, round(at / rate, 3), round((at + len(piece)) / rate, 3), speaker))
        tail = np.zeros(int(gap_s * rate), np.int16)
        parts += [piece, tail]
        at += len(piece) + len(tail)
    parts.append(np.zeros(int(pause_s * rate), np.int16))
    pcm = np.concatenate(parts)
    pcm = (pcm + np.rint(rng.standard_normal(len(pcm)) * noise)).astype(np.int16)
    return Recording(f"synthetic-{seed}", pcm, rate, words)
