"""Words with times: the decoder's attention to the audio, made into where each word lies.

CTranslate2 aligns tokens with encoder steps of 20 ms by dynamic time warping over the attention heads that
``config.json`` names (Whisper's own method). The rules here are about what comes after: which token belongs to which
word, punctuation, and edges that speech detection knows better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from transcription.engines.whisper.tokens import CLOSING, OPENING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from transcription.engines.whisper.tokens import WordTokens

STEP = 0.02
LONGEST_WORD = 1.2
"""Seconds. The alignment gives a pause to the word beside it; a longer word is cut on the side of the pause."""


@dataclass(slots=True)
class TimedWord:
    """Seconds of the window. The answer's tokens from ``first`` up to and without ``until`` make it."""

    text: str
    start: float
    end: float
    probability: float
    first: int
    until: int


def timed(
    words: Sequence[WordTokens], alignments: Sequence[tuple[int, int]], probabilities: Sequence[float], seconds: float
) -> list[TimedWord]:
    """``alignments``: (token, step) pairs as CTranslate2 gives them, in order; the last token is the end's."""
    first_step: dict[int, int] = {}
    for token, step in alignments:
        first_step.setdefault(token, step)
    last = max((step for _, step in alignments), default=0) + 1
    found: list[TimedWord] = []
    at = 0
    for word in words:
        until = at + word.length
        start = first_step.get(at, last) * STEP
        end = first_step.get(until, last) * STEP
        certain = probabilities[at:until]
        found.append(
            TimedWord(
                word.text,
                min(start, seconds),
                min(max(end, start), seconds),
                sum(certain) / len(certain) if certain else 0.0,
                at,
                until,
            )
        )
        at = until
    return with_punctuation(found)


def with_punctuation(words: Sequence[TimedWord]) -> list[TimedWord]:
    """Marks joined to the word that they belong to; a mark takes no time of its own."""
    found: list[TimedWord] = []
    opening: TimedWord | None = None
    for word in words:
        bare = word.text.strip()
        if found and opening is None and bare and all(mark in CLOSING for mark in bare) and word.text[0] != " ":
            found[-1].text += word.text
            found[-1].until = word.until
            continue
        if opening is not None:
            word.text, word.first = opening.text + word.text.lstrip(), opening.first
            opening = None
        elif bare and all(mark in OPENING for mark in bare):
            opening = word
            continue
        found.append(word)
    if opening is not None:
        found.append(opening)
    return found


def within_speech(words: Sequence[TimedWord], speech: Sequence[tuple[float, float]]) -> list[TimedWord]:
    """Edges moved out of pauses: a word that reaches from speech into a pause ends, or begins, where the speech does.

    ``speech``: where somebody speaks (seconds of the window), sorted. A word that lies in no speech at all is left
    out: it was made up.
    """
    found: list[TimedWord] = []
    for word in words:
        near = [(a, b) for a, b in speech if b > word.start - 0.05 and a < word.end + 0.05]
        if not near:
            continue
        begin, end = max(near, key=lambda part: min(part[1], word.end) - max(part[0], word.start))
        word.start, word.end = max(word.start, begin), min(word.end, end)
        if word.end - word.start > LONGEST_WORD:
            if begin == word.start:
                word.end = word.start + LONGEST_WORD
            else:
                word.start = word.end - LONGEST_WORD
        word.end = max(word.end, word.start + STEP)
        found.append(word)
    return found
