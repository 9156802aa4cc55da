"""What a link lets be heard: the owner's own voice, and silence wherever anybody else speaks or nobody is known to.

Kept recordings are 16-bit mono WAV in the time of the memory; of any other file nothing is heard.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
import wave
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from asgiref.sync import sync_to_async

from omi.stores import audio
from omi.stores.models import AudioObject
from transcription.audio.wav import HEADER, wav_header
from transcription.segments import Segment
from transcription.spans import Span, merge, subtract

MARGIN: Final = 0.25
"""Seconds before and after somebody else's words that are silent, too: the edges of a segment are that exact."""
PIECE: Final = 128 * 1024
"""Samples read at a time."""


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
    others = merge([(start - MARGIN, end + MARGIN) for start, end in spoken])
    return tuple(subtract(merge([(max(0.0, item.start), item.end) for item in segments if item.is_user]), others))


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
    header = wav_header(2 * heard.frames, heard.rate)
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
