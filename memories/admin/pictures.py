"""What a recording looks like: its loudness over time, who speaks when, how it was said. SVG, made by the server."""

from __future__ import annotations

import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import structlog
from django.core.cache import cache

from emotions.base import EmotionTimeline
from omi.core import workspace
from omi.core.errors import OwnFault, ProviderError
from omi.stores import audio
from omi.stores.models import AudioObject
from transcription.audio.convert import AudioError, AudioLimits, decode_to_wav
from transcription.segments import Segment

log = structlog.get_logger(__name__)

COLUMNS: Final = 480
"""Bars of the waveform."""
LOOKED_AT: Final = 1024
"""Samples of each column that are read: 1 MB in all, however long the recording is."""
MOST_BYTES: Final = 48 * 1024 * 1024
"""Of a file that has to be decoded, or fetched from a bucket, to be drawn."""
DECODING: Final = AudioLimits(max_seconds=6 * 3600.0, cpu_seconds=20, memory_mb=1024)
KEPT: Final = 600
"""Seconds that loudness stays in the cache: 480 numbers under the hash of the recording."""
EMOTIONS: Final = 6
BINS: Final = 240


WIDE: Final = 2000
"""Units of width in the drawings of regions and emotions."""
LEVELS: Final = 5
"""Shades of an emotion's strength."""


@dataclass(frozen=True, slots=True)
class Region:
    """All stretches of speech of one colour, as the path of an SVG ``WIDE`` units wide and 12 high."""

    colour: int
    path: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One emotion over time; ``shades``: opacity, and the path of the stretches that have it."""

    name: str
    mean: float
    peak: float
    shades: list[tuple[float, str]]


class NotDrawn(Exception):
    """There is no picture; the text says why."""


def loudness(found: AudioObject) -> list[float]:
    """Return the loudness of a recording as ``COLUMNS`` peaks, 0..1. Raises NotDrawn, AudioNotFound, ProviderError."""
    key = f"peaks:{found.sha256}"
    known = cache.get(key)
    if known is None:
        known = _measured(found)
        cache.set(key, known, KEPT)
    return list(known)


def _measured(found: AudioObject) -> list[float]:
    near = getattr(audio.storage(), "location", "")
    if not near and found.size > MOST_BYTES:
        raise NotDrawn("The recording is too long to be fetched for a picture.")
    if near:
        with audio.open(found) as file:
            peaks = _of_wave(file)
        if peaks is not None:
            return peaks
    if found.size > MOST_BYTES:
        raise NotDrawn("The recording is too long to be decoded for a picture.")
    with workspace.temporary("picture-") as folder:
        source = audio.local_copy(found, Path(folder))
        target = Path(folder) / "decoded.wav"
        try:
            decode_to_wav(source, target, limits=DECODING)
            with target.open("rb") as decoded:
                return _of_wave(decoded) or []
        except AudioError as error:
            raise NotDrawn(error.sentence) from error
        except OwnFault as error:
            raise NotDrawn("The recording takes too long to be decoded for a picture.") from error


def _of_wave(file: IO[bytes] | Any) -> list[float] | None:
    """Peaks of a 16-bit WAV, from some of its samples; None of any other file."""
    try:
        with wave.open(file, "rb") as sound:
            if sound.getsampwidth() != 2 or not sound.getnframes():
                return None
            count, channels = sound.getnframes(), sound.getnchannels()
            peaks = []
            for column in range(COLUMNS):
                sound.setpos(min(count - 1, column * count // COLUMNS))
                read = sound.readframes(max(1, min(LOOKED_AT, count // COLUMNS)))
                samples = np.frombuffer(read[: len(read) // 2 * 2], "<i2")[::channels]
                peaks.append(float(np.abs(samples.astype(np.int32)).max(initial=0)) / 32768)
    except (wave.Error, EOFError, OSError):
        return None
    top = max(peaks, default=0.0)
    return [round(peak / top, 3) for peak in peaks] if top > 0.001 else [0.0] * len(peaks)


def waveform(peaks: Sequence[float], why: str = "") -> str:
    """An SVG file: one bar a column, both sides of the middle. Without peaks it says why in its title."""
    bars = "".join(f"M{at + 0.5:g} {50 - 46 * peak:.1f}V{50 + 46 * peak + 0.8:.1f}" for at, peak in enumerate(peaks))
    words = why.replace("&", "&amp;").replace("<", "&lt;")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMNS} 100" preserveAspectRatio="none">'
        f"<title>{words or 'Loudness'}</title>"
        f'<path d="M0 50H{COLUMNS}" stroke="#7a8794" stroke-width="0.6" fill="none"/>'
        f'<path d="{bars}" stroke="#5b7f9e" stroke-width="0.7" fill="none"/></svg>'
    )


def picture_of(found: AudioObject) -> str:
    """The waveform, or an empty one that says why."""
    try:
        return waveform(loudness(found))
    except NotDrawn as error:
        return waveform([], str(error))
    except (ProviderError, LookupError) as error:
        log.warning("waveform_not_drawn", audio=found.name, error=type(error).__name__)
        return waveform([], "The recording cannot be read now.")


def regions(segments: Sequence[Segment], seconds: float, palette: Mapping[str, int]) -> list[Region]:
    """Who speaks when: one path a colour, however many segments there are."""
    scale = WIDE / max(seconds, 0.001)
    paths: dict[int, list[str]] = {}
    for segment in segments:
        x = max(0.0, segment.start) * scale
        width = max(1.0, (segment.end - segment.start) * scale)
        paths.setdefault(palette.get(segment.speaker, 0), []).append(f"M{x:.1f} 0h{width:.1f}v12h-{width:.1f}z")
    return [Region(colour, "".join(path)) for colour, path in sorted(paths.items())]


def lanes(timeline: EmotionTimeline, seconds: float) -> list[Lane]:
    """The strongest emotions over time, each in at most ``BINS`` stretches with the highest score in it."""
    whole = max([seconds, *(span.end for span in timeline.spans)], default=0.0) or 0.001
    sums: dict[str, float] = {}
    tops: dict[str, dict[int, float]] = {}
    for span in timeline.spans:
        first = min(BINS - 1, max(0, int(BINS * span.start / whole)))
        last = min(BINS - 1, max(first, int(BINS * max(span.start, span.end - 0.001) / whole)))
        for emotion in span.emotions[:60]:
            sums[emotion.name] = sums.get(emotion.name, 0.0) + emotion.score * (span.end - span.start)
            cells = tops.setdefault(emotion.name, {})
            for at in range(first, last + 1):
                cells[at] = max(cells.get(at, 0.0), emotion.score)
    spoken = sum(span.end - span.start for span in timeline.spans) or 1.0
    strongest = sorted(sums, key=lambda name: -sums[name])[:EMOTIONS]
    return [Lane(name, sums[name] / spoken, max(tops[name].values()), _shades(tops[name])) for name in strongest]


def _shades(cells: Mapping[int, float]) -> list[tuple[float, str]]:
    width = WIDE / BINS
    paths: dict[int, list[str]] = {}
    for at, score in sorted(cells.items()):
        level = min(LEVELS, max(0, round(score * LEVELS)))
        if level:
            paths.setdefault(level, []).append(f"M{at * width:.1f} 0h{width:.1f}v12h-{width:.1f}z")
    return [(level / LEVELS, "".join(path)) for level, path in sorted(paths.items())]
