"""Words of a live vendor's message, each field read by itself. Pure; times in seconds of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from omi.core.vendor_fields import Losses, code, label, number
from transcription.segments import Word

LATEST = 1e7
"""No stream lasts so many seconds: a later time is none."""
GUESSED_SECONDS = 0.3
"""Length of a word whose end cannot be read."""


@dataclass(frozen=True, slots=True)
class VendorWord:
    """What the vendor gave for one word, unread but for the text; None: that cannot be read."""

    text: str | None
    start: object
    end: object
    speaker: object = None
    confidence: object = None
    language: object = None


def timed_words(heard: Sequence[VendorWord], begins: float, until: float | None, losses: Losses) -> tuple[Word, ...]:
    """The words that have a text. A start that cannot be read is the end of the word before, or where the message
    ``begins``; an end lasts a moment, within ``until`` where that is known."""
    words: list[Word] = []
    before = begins
    for item in heard:
        if item.text is None or not item.text.strip():
            if item.text is None:
                losses.part()
            continue
        start = losses.field(item.start, moment(item.start))
        end = losses.field(item.end, moment(item.end))
        start = before if start is None else start
        if end is None:
            end = start + GUESSED_SECONDS if until is None else max(start, min(until, start + GUESSED_SECONDS))
        confidence = losses.field(item.confidence, number(item.confidence))
        speaker = losses.field(item.speaker, label(item.speaker))
        words.append(
            Word(
                text=item.text,
                start=start,
                end=max(start, end),
                speaker=None if speaker is None else str(speaker),
                confidence=None if confidence is None else min(1.0, max(0.0, confidence)),
                language=losses.field(item.language or None, code(item.language)),
            )
        )
        before = max(start, end)
    return tuple(words)


def unusable(listed: object, words: Sequence[Word], until: float | None, losses: Losses) -> bool:
    """Whether a final message decided audio of which nothing can be kept: no list, no word of any, or no time."""
    return not isinstance(listed, list) or (not words and (losses.parts > 0 or until is None))


def moment(value: object) -> float | None:
    """Seconds of the stream, or None for what can be none."""
    found = number(value)
    return found if found is not None and 0 <= found < LATEST else None
