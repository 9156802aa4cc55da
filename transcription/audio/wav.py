"""WAV files with one channel of 16-bit samples, the form of every recording that is kept."""

from __future__ import annotations

import struct
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

RATE: Final = 16_000
HEADER: Final = 44
"""Bytes before the first sample."""


@contextmanager
def writing_wav(dest: Path | str) -> Iterator[wave.Wave_write]:
    """A 16 kHz file that is written piece by piece."""
    with wave.open(str(dest), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        yield out


def wav_header(size: int, rate: int = RATE) -> bytes:
    """What stands before ``size`` bytes of samples."""
    form = (b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVE", *form, b"data", size)


def wav_bytes(pcm: bytes) -> bytes:
    """The 16 kHz file of these samples."""
    return wav_header(len(pcm)) + pcm
