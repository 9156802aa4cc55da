"""A whole recording: speech regions packed into windows, each heard with the text before it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from transcription.audio.vad import RATE, Region, checked_pcm, speech_regions
from transcription.engines.whisper.languages import Spoken
from transcription.engines.whisper.model import WINDOW_SECONDS, Whisper
from transcription.segments import Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from transcription.engines.whisper.model import Answer

LONGEST_PAUSE = 3.0
"""Seconds of silence within a window; a longer pause begins a new one."""
FORGET_AFTER = 30.0
"""Seconds of silence after which what was said before says nothing about what comes."""
UNHEARD = 1.5
"""Seconds of speech in a row without a word, from which on a sentence was left out: a region has no pauses."""

SHORTEST_PART = 3.0
"""Seconds of a part that is heard by itself: a word or two alone are heard badly."""


@dataclass(slots=True)
class Hearing:
    """What was heard in some regions. ``unheard``: seconds of their speech in which it has no word."""

    words: list[Word]
    tokens: list[int]
    unheard: float


def windows(regions: Sequence[Region]) -> list[list[Region]]:
    """Return the regions by the window that holds them, in order; a window has at most ``WINDOW_SECONDS`` from its
    first start to its last end."""
    packed: list[list[Region]] = []
    for region in regions:
        last = packed[-1] if packed else None
        if last and region.end - last[0].start <= WINDOW_SECONDS and region.start - last[-1].end <= LONGEST_PAUSE:
            last.append(region)
        else:
            packed.append([region])
    return packed


def words_of(answer: Answer, start: float, language: str | None) -> list[Word]:
    """The words of an answer whose window begins at ``start`` seconds."""
    return [
        Word(
            text=word.text.strip(),
            start=round(start + word.start, 3),
            end=round(start + max(word.end, word.start + 0.01), 3),
            confidence=round(min(1.0, max(0.0, word.probability)), 3),
            language=language,
        )
        for word in answer.words
        if any(character.isalnum() for character in word.text)
    ]


class WhisperBatch:
    """See ``BatchEngine``. ``language`` None: each window says which of the languages it is in (``Spoken``)."""

    model = "whisper"

    def __init__(self, whisper: Whisper, *, language: str | None = None, vocabulary: str = "") -> None:
        self._whisper = whisper
        self._spoken = Spoken(whisper, language)
        self._vocabulary = vocabulary

    def transcribe(self, pcm: NDArray[np.int16]) -> list[Word]:
        words: list[Word] = []
        context: list[int] = []
        before = 0.0
        for regions in windows(speech_regions(checked_pcm(pcm), max_speech=WINDOW_SECONDS - 1)):
            start, end = regions[0].start, regions[-1].end
            self._spoken.after(start - before)
            language = self._spoken.of(pcm[round(start * RATE) : round(end * RATE)])
            if start - before > FORGET_AFTER or self._spoken.changed:
                context = []
            heard = self._hear(pcm, regions, language, context)
            words += heard.words
            context, before = [*context, *heard.tokens][-240:], end
        return words

    def _hear(
        self, pcm: NDArray[np.int16], regions: Sequence[Region], language: str | None, context: Sequence[int]
    ) -> Hearing:
        """The words of a window. Whisper leaves out a whole sentence at times, and goes on with the next: where the
        window has speech without words it is heard again in two parts, divided at its longest pause, and so on."""
        start, end = regions[0].start, regions[-1].end
        audio = pcm[round(start * RATE) : round(end * RATE)]
        window, answer = self._whisper.hear(audio, language, vocabulary=self._vocabulary, context=context)
        speech = [(region.start - start, region.end - start) for region in regions]
        self._whisper.place(window, answer, language, speech)
        words = words_of(answer, start, language)
        whole = Hearing(words, answer.tokens, unheard(words, regions))
        cuts = [
            number
            for number in range(1, len(regions))
            if min(regions[number - 1].end - start, end - regions[number].start) >= SHORTEST_PART
        ]
        if not whole.unheard or not cuts:
            return whole
        at = max(cuts, key=lambda number: regions[number].start - regions[number - 1].end)
        first = self._hear(pcm, regions[:at], language, context)
        second = self._hear(pcm, regions[at:], language, [*context, *first.tokens][-240:])
        parts = Hearing(
            [*first.words, *second.words], [*first.tokens, *second.tokens], first.unheard + second.unheard
        )  # fmt: skip
        return parts if parts.unheard < whole.unheard else whole


def unheard(words: Sequence[Word], regions: Sequence[Region]) -> float:
    """Seconds of the stretches of speech of ``UNHEARD`` and more that have no word."""
    missing = 0.0
    for region in regions:
        inside = sorted((word.start, word.end) for word in words if word.end > region.start and word.start < region.end)
        edges = [(region.start, region.start), *inside, (region.end, region.end)]
        missing += sum(b[0] - a[1] for a, b in pairwise(edges) if b[0] - a[1] >= UNHEARD)
    return missing
