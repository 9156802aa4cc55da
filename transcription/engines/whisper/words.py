"""Words with times: the decoder's attention to the audio, made into where each word lies.

CTranslate2 aligns tokens with encoder steps of 20 ms by dynamic time warping over the attention heads that
``config.json`` names (Whisper's own method). The rules here are about what comes after: words of several tokens, and
edges that speech detection knows better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from transcription.engines.base import RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from transcription.engines.whisper.tokens import WordTokens

STEP = 0.02
A_FIGURE = 0.4
"""Seconds that each figure may add: "$4,000" is said as three words."""
NEAR = 0.5
"""Seconds within which a word beside a pause is taken to reach to it: a long last word is aligned so much too short."""
FRAME = RATE // 50  # samples of a step
QUIET, LOUD = 10**-3.5, 10**-2.0
"""-35 and -20 dB below the loudest moment, as power: what is softer is no speech, what is louder is."""
ABOVE_NOISE = 10.0
"""10 dB: between the two, what is so much louder than the room is speech."""
PADDING = 0.2
"""Seconds that speech detection adds at both ends of a region, for soft sounds."""
LEFT = 0.12
"""Seconds of them that hold none: what is loud there is breath, a click or the room."""
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
    """Return the words with their times and probabilities. ``alignments``: (token, step) pairs as CTranslate2 gives
    them, in order; the last token is the end's."""
    first_step: dict[int, int] = {}
    for token, step in alignments:
        first_step.setdefault(token, step)
    last = max((step for _, step in alignments), default=0) + 1
    found: list[TimedWord] = []
    at = 0
    for word in words:
        until = at + word.length
        start = first_step.get(at, last) * STEP
        end = first_step.get(at + word.spoken, last) * STEP
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
    return found


def trimmed(pcm: NDArray[np.int16], regions: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return ``regions`` (seconds of ``pcm``) without the quiet that speech detection leaves at both ends: from the
    first to the last 20 ms that are louder than the room (the quietest tenth of ``pcm``), within bounds by the region's
    loudest. Most of what detection adds goes in any case, since breath and clicks are louder than a room; and no more
    than that where the room is loud: the level then says little, and the quietest tenth may be speech. Where two
    regions touch, one was cut in two, and nothing was added."""
    room = ABOVE_NOISE * float(np.quantile(_power(pcm), 0.1)) if len(pcm) >= FRAME else 0.0
    found = []
    for index, (start, end) in enumerate(regions):
        power = _power(pcm[round(start * RATE) : round(end * RATE)])
        loudest = float(power.max(initial=0.0))
        loud = np.flatnonzero(power > min(max(room, QUIET * loudest), LOUD * loudest))
        first, last = (start + loud[0] * STEP, start + (loud[-1] + 1) * STEP) if len(loud) else (start, end)
        if end - start > 4 * LEFT:
            begins = index == 0 or regions[index - 1][1] < start
            ends = index == len(regions) - 1 or regions[index + 1][0] > end
            if room > QUIET * loudest:
                first, last = min(first, start + PADDING * begins), max(last, end - PADDING * ends)
            first, last = max(first, start + LEFT * begins), min(last, end - LEFT * ends)
        found.append((first, last))
    return found


def _power(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """Of each whole 20 ms."""
    frames = pcm[: len(pcm) // FRAME * FRAME].astype(np.float32).reshape(-1, FRAME)
    return np.asarray((frames**2).mean(axis=1), np.float32)


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
        longest = LONGEST_WORD + _figures(word)
        if word.end - word.start > longest:
            if begin == word.start:
                word.end = word.start + longest
            else:
                word.start = word.end - longest
        word.end = max(word.end, word.start + STEP)
        found.append(word)
    _reach(found, speech)
    return found


def _reach(words: Sequence[TimedWord], speech: Sequence[tuple[float, float]]) -> None:
    """The first and last word of a stretch of speech begin and end with it: there the alignment is late and early."""
    for begin, end in speech:
        inside = [word for word in words if begin <= (word.start + word.end) / 2 <= end]
        if inside and inside[0].start - begin <= NEAR:
            inside[0].start = begin
        if inside and end - inside[-1].end <= NEAR + _figures(inside[-1]):
            inside[-1].end = end


def _figures(word: TimedWord) -> float:
    """Seconds that a word's figures add to what is said with its other characters."""
    return A_FIGURE * sum(character.isdigit() for character in word.text)
