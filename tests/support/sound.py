"""Recordings that tests make: WAV files of given samples, and a tone in which nobody speaks."""

from __future__ import annotations

import io
import math
import struct
import wave
from pathlib import Path

RATE = 16_000


def wav(pcm: bytes, rate: int = RATE, channels: int = 1) -> bytes:
    """The bytes of a WAV file of 16-bit samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return buffer.getvalue()


def write_wav(path: Path, pcm: bytes, rate: int = RATE, channels: int = 1) -> Path:
    """Write a WAV file of 16-bit samples; its path."""
    path.write_bytes(wav(pcm, rate, channels))
    return path


def tone(seconds: float, rate: int = RATE) -> bytes:
    """A WAV file of ``seconds``, to the sample."""
    count = round(seconds * rate)
    period = [int(8000 * math.sin(2 * math.pi * 200 * n / rate)) for n in range(rate // 200)]
    return wav(struct.pack(f"<{count}h", *(period * (count // len(period) + 1))[:count]), rate)
