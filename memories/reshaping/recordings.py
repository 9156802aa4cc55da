"""The recording of a merged or split memory: cut and put together so that its second 0 is that of the words.

All kept recordings are 16 kHz mono WAV that begin with their memory's second 0. A pause between two conversations is
silence. Where that would not be right, or nobody permits it, there is no recording, and the reason is told.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from omi.accounts.erased import Fence
from omi.accounts.users import get_user, recordings_age
from omi.stores import audio
from transcription.audio.wav import HEADER, RATE, wav_header

BYTES: Final = 2
PIECE_SECONDS: Final = 30
OVERLAP: Final = 1.0
"""Seconds by which a recording may reach into the next one and is cut off; more is heard at the same time."""

Span = tuple[int, int, int, str]
"""Frames: at, how many, from where; and the object's name."""

KEPT: Final = "kept"
NOT_RECORDED: Final = "not_recorded"
PARTLY_RECORDED: Final = "partly_recorded"
NOT_PERMITTED: Final = "not_permitted"
OVERLAPPING: Final = "overlapping"
TOO_LONG: Final = "too_long"
UNREADABLE: Final = "unreadable"


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a memory's recording: from ``start`` (seconds of it) on, for ``seconds`` or to its end, lies ``at``
    seconds behind the new recording's second 0."""

    memory_id: str
    at: float = 0.0
    start: float = 0.0
    seconds: float | None = None


def make(uid: str, memory_id: str, pieces: Sequence[Piece], *, fence: Fence) -> tuple[str | None, str]:
    """Store the recording of a memory that is being made: its name, and ``kept`` or why there is none.

    Made once, however often it is called with the same pieces. Raises ProviderError, and what ``fence`` raises inside
    of the transaction.
    """
    if not get_user(uid).store_recording_permission:
        return None, NOT_PERMITTED
    spans, why = _spans(uid, pieces)
    whole = HEADER + BYTES * max((at + count for at, count, *_ in spans), default=0)
    made = None
    for known in audio.for_memory(uid, memory_id, "recording"):
        if made is None and not why and known.size == whole:
            made = known
        else:
            audio.delete(known)  # of an earlier try: the originals were cut or recorded otherwise then
    if why:
        return None, why
    made = made or audio.put(
        uid, "recording", _content(spans), memory_id=memory_id, suffix=".wav", keep_for=None, fence=fence
    )
    audio.as_old_as(made, [row for piece in pieces for row in audio.for_memory(uid, piece.memory_id, "recording")[-1:]])
    audio.limit_age(uid, "recording", recordings_age(uid), memory_id=memory_id)
    if not get_user(uid).store_recording_permission:  # withdrawn while it was copied
        audio.delete(made)
        return None, NOT_PERMITTED
    return str(made.name), KEPT


def _spans(uid: str, pieces: Sequence[Piece]) -> tuple[list[Span], str]:
    """The pieces in frames, in order of time; or why there is no recording of them."""
    kept = [audio.for_memory(uid, piece.memory_id, "recording") for piece in pieces]
    if not all(kept):
        return [], PARTLY_RECORDED if any(kept) else NOT_RECORDED
    try:
        spans = sorted(_span(found[-1].name, piece) for found, piece in zip(kept, pieces, strict=True))
    except (wave.Error, EOFError, audio.AudioNotFound):
        return [], UNREADABLE
    ends = [at + count for at, count, *_ in spans]
    if any(end - spans[number + 1][0] > OVERLAP * RATE for number, end in enumerate(ends[:-1])):
        return [], OVERLAPPING
    return (spans, "") if max(ends) <= settings.OMI_MAX_RECORDING_SECONDS * RATE else ([], TOO_LONG)


def _span(name: str, piece: Piece) -> Span:
    """Raises wave.Error for what is not a recording of ours."""
    with audio.open(name) as file, wave.open(file) as source:
        if (source.getframerate(), source.getnchannels(), source.getsampwidth()) != (RATE, 1, BYTES):
            raise wave.Error("another form")
        first = min(source.getnframes(), round(piece.start * RATE))
        count = source.getnframes() - first
    if piece.seconds is not None:
        count = min(count, round(piece.seconds * RATE))
    return round(piece.at * RATE), count, first, name


def _content(spans: Sequence[Span]) -> Iterator[bytes]:
    """The WAV, a piece at a time."""
    size = BYTES * max(at + count for at, count, *_ in spans)
    yield wav_header(size)
    done = 0
    for number, (at, count, first, name) in enumerate(spans):
        while done < at:
            silent = min(at - done, PIECE_SECONDS * RATE)
            yield bytes(BYTES * silent)
            done += silent
        following = spans[number + 1][0] if number + 1 < len(spans) else at + count
        left = min(count, following - at)
        with audio.open(name) as file, wave.open(file) as source:
            source.setpos(first)
            while left > 0 and (data := source.readframes(min(left, PIECE_SECONDS * RATE))):
                yield data
                left -= len(data) // BYTES
                done += len(data) // BYTES
