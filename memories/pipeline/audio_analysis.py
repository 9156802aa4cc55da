"""Functions for ``child.call``: JSON in, JSON out, no Django."""

from __future__ import annotations

import importlib
import wave
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from memories.pipeline.rules import acceptance
from memories.shapes import Structured
from memories.structuring.base import StructureRequest, Wanted
from transcription.audio.vad import RATE, speech_regions
from transcription.segments import Segment

EDGE = 0.15
"""Seconds at the end of a block and at the beginning of the next in which a region goes on."""
BLOCK = 600.0
"""Seconds of audio looked at in one go: memory stays bounded (19 MB) for recordings of any length."""


def speech(path: str) -> dict[str, Any]:
    """Length and speech regions (seconds) of a 16 kHz mono 16-bit WAV, and the SHA-256 of its samples."""
    import hashlib

    import numpy as np

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
                # Only what a block's end has cut is one region: across a short pause somebody else may begin to speak,
                # and a window of two voices makes one speaker of both.
                if regions and start < EDGE and offset - regions[-1][1] < EDGE:
                    regions[-1][1] = round(end + offset, 3)
                else:
                    regions.append([round(start + offset, 3), round(end + offset, 3)])
            frames += len(data) // 2
    return {"seconds": round(frames / RATE, 3), "regions": regions, "sha256": digest.hexdigest()}


def assess(
    new: list[Any], shown: list[Any], live: dict[str, list[Any]], regions: list[tuple[float, float]], **more: Any
) -> dict[str, Any]:
    """Call ``acceptance.assess`` with segments as JSON (``more``: its other arguments); returns JSON, too."""
    return asdict(
        acceptance.assess(
            new=_segments(new), shown=_segments(shown), live={name: _segments(item) for name, item in live.items()},
            regions=[(start, end) for start, end in regions], **more,
        )
    )  # fmt: skip


def structure(backend: str, options: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """What a structurer of this machine makes of a ``StructureRequest`` without ``parts``."""
    made = _backend(backend, tuple(sorted(options.items()))).structure(_request(request))
    return {**asdict(made), "structured": made.structured.model_dump(mode="json")}


def fill(
    backend: str, options: dict[str, Any], request: dict[str, Any], wanted: list[dict[str, str]], made: dict[str, Any]
) -> dict[str, Any]:
    """The sections of a template, as a structurer of this machine fills them."""
    structurer = _backend(backend, tuple(sorted(options.items())))
    found = structurer.fill(_request(request), [Wanted(**item) for item in wanted], Structured.model_validate(made))
    return {**asdict(found), "sections": [section.model_dump(mode="json") for section in found.sections]}


def embed(backend: str, options: dict[str, Any], texts: list[str]) -> list[list[float]]:
    """The vectors of an embedder of this machine."""
    vectors: list[list[float]] = _backend(backend, tuple(sorted(options.items()))).embed(texts)
    return vectors


@cache
def _backend(name: str, options: tuple[tuple[str, Any], ...]) -> Any:
    module, _, cls = name.rpartition(".")
    return getattr(importlib.import_module(module), cls)(**dict(options))


def _request(given: dict[str, Any]) -> StructureRequest:
    moment = datetime.fromisoformat(given["started_at"])
    return StructureRequest(**{**given, "segments": _segments(given["segments"]), "started_at": moment})


def _segments(items: list[Any]) -> list[Segment]:
    return [Segment.model_validate(item) for item in items]
