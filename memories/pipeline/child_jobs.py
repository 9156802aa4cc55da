"""Functions for ``child.call``: JSON in, JSON out, no Django."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

BLOCK = 600.0
"""Seconds of audio looked at in one go: memory stays bounded (19 MB) for recordings of any length."""


def speech(path: str) -> dict[str, Any]:
    """Length and speech regions (seconds) of a 16 kHz mono 16-bit WAV, and the SHA-256 of its samples."""
    import hashlib

    import numpy as np

    from transcription.vad import RATE, speech_regions

    digest = hashlib.sha256()
    regions: list[list[float]] = []
    frames = 0
    with wave.open(str(Path(path)), "rb") as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            raise ValueError("not a 16 kHz mono 16-bit recording")
        while data := file.readframes(int(BLOCK * RATE)):
            digest.update(data)
            offset = frames / RATE
            for start, end in speech_regions(np.frombuffer(data, np.int16)):
                if regions and start + offset - regions[-1][1] < 0.3:
                    regions[-1][1] = round(end + offset, 3)
                else:
                    regions.append([round(start + offset, 3), round(end + offset, 3)])
            frames += len(data) // 2
    return {"seconds": round(frames / RATE, 3), "regions": regions, "sha256": digest.hexdigest()}
