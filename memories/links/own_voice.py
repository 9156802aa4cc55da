"""What a link lets be heard: the owner's own voice, and silence wherever anybody else speaks or nobody is known to.

Kept recordings are 16-bit mono WAV in the time of the memory; of any other file nothing is heard.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
import struct
import wave
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import sync_to_async

from omi.stores import audio
from omi.stores.models import AudioObject
from transcription.segments import Segment

MARGIN: Final = 0.25
"""Seconds before and after somebody else's words that are silent, too: the edges of a segment are that exact."""
HEADER: Final = 44
"""Bytes before the first sample."""
PIECE: Final = 128 * 1024
"""Samples read at a time."""

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class OwnVoice:
    """A recording and the seconds of it that may be heard, in order. ``frames``: its samples."""

    recording: AudioObject
    rate: int
    frames: int
    spans: tuple[Span, ...]

    @property
    def size(self) -> int:
        """Bytes of the WAV file that is sent."""
        return HEADER + 2 * self.frames

    @property
    def tag(self) -> str:
        """Names what is heard by its content."""
        return hashlib.sha256(f"{self.recording.sha256}{self.spans}".encode()).hexdigest()


def audible(segments: Sequence[Segment], beside: Sequence[float] = ()) -> tuple[Span, ...]:
    """The seconds in which the owner speaks and nobody else does, ``MARGIN`` around others included.

    ``beside``: ``Memory.spoken_beside``, in which somebody else is taken to speak.
    """
    spoken = [(min(item.start, item.end), max(item.start, item.end)) for item in segments if not item.is_user]
    spoken += zip(beside[::2], beside[1::2], strict=False)
    others = _joined((start - MARGIN, end + MARGIN) for start, end in spoken)
    found: list[Span] = []
    at = 0
    for start, end in _joined((item.start, item.end) for item in segments if item.is_user):
        while at < len(others) and others[at][1] <= start:
            at += 1
        place, begins = at, max(0.0, start)
        while place < len(others) and others[place][0] < end:
            if others[place][0] > begins:
                found.append((begins, others[place][0]))
            begins = max(begins, others[place][1])
            place += 1
        if begins < end:
            found.append((begins, end))
    return tuple(found)


def of_recording(
    recording: AudioObject | None, segments: Sequence[Segment], beside: Sequence[float] = ()
) -> OwnVoice | None:
    """What may be heard of a recording; None where that is nothing. Raises AudioNotFound, ProviderError."""
    spans = audible(segments, beside) if recording is not None else ()
    if recording is None or not spans:
        return None
    with audio.open(recording) as file:
        try:
            with wave.open(file, "rb") as sound:
                if (sound.getsampwidth(), sound.getnchannels()) != (2, 1):
                    return None
                rate, frames = sound.getframerate(), sound.getnframes()
        except (wave.Error, EOFError):
            return None
    return OwnVoice(recording, rate, frames, spans) if frames and spans[0][0] * rate < frames else None


async def pieces(heard: OwnVoice, start: int, count: int) -> AsyncIterator[bytes]:
    """Bytes ``start`` to ``start + count`` of the WAV file, a bounded number at a time."""
    header = _header(heard)
    if start < HEADER:
        yield header[start : start + count]
    first, last = max(0, start - HEADER), start + count - HEADER
    if last <= 0:
        return
    file: Any = await sync_to_async(audio.open)(heard.recording)
    try:
        at = first // 2
        while at * 2 < last:
            samples = await sync_to_async(_silenced)(file, heard, at, min(PIECE, heard.frames - at))
            yield samples[max(0, first - at * 2) : last - at * 2]
            at += PIECE
    finally:
        await sync_to_async(file.close)()


def _silenced(file: Any, heard: OwnVoice, at: int, count: int) -> bytes:
    """``count`` samples from ``at`` on, zero where nothing may be heard. What is silent is not read."""
    made = bytearray(2 * count)
    begins, ends = at / heard.rate, (at + count) / heard.rate
    place = bisect.bisect_right(heard.spans, begins, key=lambda span: span[1])
    mine = list(itertools.takewhile(lambda span: span[0] < ends, heard.spans[place:]))
    if mine:
        file.seek(0)
        with wave.open(file, "rb") as sound:
            sound.setpos(at)
            read = sound.readframes(count)
        for start, end in mine:
            # Rounded inwards: no sample of before or after.
            first = max(0, math.ceil(start * heard.rate) - at)
            last = min(count, math.floor(end * heard.rate) - at)
            made[2 * first : 2 * last] = read[2 * first : 2 * last].ljust(2 * max(0, last - first), b"\0")
    return bytes(made)


def _header(heard: OwnVoice) -> bytes:
    data = 2 * heard.frames
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + data, b"WAVE", b"fmt ", 16, 1, 1, heard.rate, 2 * heard.rate, 2, 16,
        b"data", data,
    )  # fmt: skip


def _joined(spans: Iterator[Span]) -> list[Span]:
    """In order, those that touch as one; empty ones left out."""
    found: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
