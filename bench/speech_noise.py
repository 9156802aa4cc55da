"""Sound without speech, made here: what a recogniser must make no words of. 16 kHz mono int16, the same every time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Pcm = NDArray[np.int16]
Sound = NDArray[np.float64]


def _seconds(seconds: float) -> NDArray[np.float64]:
    return np.arange(round(seconds * RATE)) / RATE


def white(seconds: float, chance: np.random.Generator, level: float = 900.0) -> Sound:
    return chance.normal(0, level, round(seconds * RATE))


def pink(seconds: float, chance: np.random.Generator, level: float = 1500.0) -> Sound:
    """Power falls with 1/f, as of traffic and of many rooms."""
    spectrum = np.fft.rfft(chance.normal(0, 1, round(seconds * RATE)))
    spectrum /= np.sqrt(np.maximum(1, np.arange(len(spectrum))))
    sound = np.fft.irfft(spectrum, round(seconds * RATE))
    return np.asarray(sound / sound.std() * level)


def room(seconds: float, chance: np.random.Generator) -> Sound:
    """Hardly audible: -60 dB of full scale."""
    return pink(seconds, chance, 33.0)


def hum(seconds: float, chance: np.random.Generator) -> Sound:
    """Mains and its overtones, rising and falling slowly."""
    time = _seconds(seconds)
    swell = 1 + 0.3 * np.sin(2 * np.pi * 0.2 * time)
    return sum(
        (1500 / number * np.sin(2 * np.pi * 50 * number * time + chance.uniform(0, 6)) for number in range(1, 9)),
        np.zeros(len(time)),
    ) * swell + room(seconds, chance)


def music(seconds: float, chance: np.random.Generator) -> Sound:
    """Chords of plucked tones with overtones, a new one every half second, and a melody above."""
    sound = room(seconds, chance)
    for beat in np.arange(0, seconds - 0.6, 0.5):
        root = 110 * 2 ** (chance.choice([0, 2, 4, 5, 7, 9, 11]) / 12)
        for ratio in (1, 1.25, 1.5, chance.choice([2, 2.25, 2.5, 3])):
            tone = _seconds(0.6)
            voice = sum(
                (np.sin(2 * np.pi * root * ratio * part * tone) / part for part in range(1, 5)), np.zeros(len(tone))
            )
            at = round(beat * RATE)
            sound[at : at + len(tone)] += 900 * voice * np.exp(-4 * tone)
    return sound


def keyboard(seconds: float, chance: np.random.Generator) -> Sound:
    """Clicks of 20 ms, a few a second, now and then a louder one."""
    sound = room(seconds, chance)
    moment = 0.3
    while moment < seconds - 0.1:
        click = chance.normal(0, chance.uniform(1500, 7000), 320) * np.exp(-np.arange(320) / 60)
        at = round(moment * RATE)
        sound[at : at + 320] += click
        moment += chance.uniform(0.05, 0.4) if chance.random() < 0.9 else chance.uniform(1, 3)
    return sound


def knocks(seconds: float, chance: np.random.Generator) -> Sound:
    """Steps, doors and dishes: bursts of low and of ringing sound."""
    sound = pink(seconds, chance, 120.0)
    moment = 0.5
    while moment < seconds - 0.6:
        tone = _seconds(0.5)
        frequency = chance.uniform(60, 3000)
        burst = np.sin(2 * np.pi * frequency * tone) * np.exp(-tone * chance.uniform(10, 40))
        at = round(moment * RATE)
        sound[at : at + len(tone)] += chance.uniform(1000, 9000) * burst
        moment += chance.uniform(0.2, 1.5)
    return sound


KINDS: dict[str, Callable[[float, np.random.Generator], Sound]] = {
    "room tone": room,
    "mains hum": hum,
    "white noise": white,
    "pink noise": pink,
    "music-like tones": music,
    "keyboard clicks": keyboard,
    "knocks": knocks,
    "digital silence": lambda seconds, _: np.zeros(round(seconds * RATE)),
}


def pieces(seconds: float, *, piece: float = 60.0, seed: int = 1) -> Iterator[tuple[str, Pcm]]:
    """About so many seconds of all kinds in turn, in pieces of ``piece`` seconds: (kind, audio)."""
    chance = np.random.default_rng(seed)
    made = 0.0
    while made < seconds:
        for kind, make in KINDS.items():
            if made < seconds:
                yield kind, np.clip(np.rint(make(piece, chance)), -32768, 32767).astype(np.int16)
                made += piece
