"""From segments to sentences, punctuated or not.

The built-in recogniser writes no punctuation, so a long stretch without any is cut before words that open a new
thought. Nothing is reworded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transcription.segments import Segment

_STOP = re.compile(r"(?<=[.!?。！？…])\s+|(?<=[。！？])")
_ENDS = re.compile(r"[.!?。！？…]")
_OPENERS = re.compile(
    r"\s+(?=(?:(?:and|but|so|then|well|yes|no|okay)\s+)?(?:i'll|i will|i am going|i'm going|i need to|i have to"
    r"|i have an?|i must|i agree|we should|we need to|we have to|we will|we went|let us|let's|please|do not forget"
    r"|don't forget|remember to|make sure|my name is|that is|that sounds|that's|how much|how long|how was|hello"
    r"|good morning|thank you|can you|could you|would you|have a|it was|the next thing|and my|and then)\b)",
    re.IGNORECASE,
)
MIN_UNPUNCTUATED = 3  # words on either side of a cut
MAX_UNPUNCTUATED = 40  # words: a stretch without any opener is cut here


@dataclass(frozen=True, slots=True)
class Sentence:
    """``speaker`` is who said it as people read it (a name, ``User``, ``Speaker 2``). ``start`` in seconds."""

    text: str
    speaker: str
    is_user: bool
    start: float

    @property
    def words(self) -> list[str]:
        return words(self.text)


def words(text: str) -> list[str]:
    """Lower-case words of any script, apostrophes kept."""
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower())


def speaker_name(segment: Segment, names: dict[str, str], user_name: str) -> str:
    if segment.is_user:
        return user_name
    return names.get(segment.person_id or "") or f"Speaker {segment.speaker_id}"


def sentences(segments: Sequence[Segment], *, names: dict[str, str], user_name: str) -> list[Sentence]:
    found: list[Sentence] = []
    for segment in segments:
        who = speaker_name(segment, names, user_name)
        for text in split(segment.text):
            found.append(Sentence(text, who, segment.is_user, segment.start))
    return found


def split(text: str) -> list[str]:
    """Sentences of a text, in order; every word of it stands once in the answer."""
    parts = [part.strip() for part in _STOP.split(text) if part.strip()]
    return [piece for part in parts for piece in (_unpunctuated(part) if _needs_cutting(part) else [part])]


def _needs_cutting(part: str) -> bool:
    count = len(part.split())
    return count > MAX_UNPUNCTUATED or (count > 2 * MIN_UNPUNCTUATED and not _ENDS.search(part))


def _unpunctuated(text: str) -> Iterator[str]:
    kept: list[str] = []
    for piece in _OPENERS.split(text):
        tokens = piece.split()
        if len(kept) >= MIN_UNPUNCTUATED and len(tokens) >= 2:
            yield " ".join(kept)
            kept = []
        kept += tokens
        while len(kept) > MAX_UNPUNCTUATED:
            yield " ".join(kept[:MAX_UNPUNCTUATED])
            kept = kept[MAX_UNPUNCTUATED:]
    if kept:
        yield " ".join(kept)
