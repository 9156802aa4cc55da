"""A whole recording: speech regions packed into windows, each heard with the text before it."""

from __future__ import annotations

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


def windows(regions: Sequence[Region]) -> list[list[Region]]:
    """Regions that one window holds, in order; each at most ``WINDOW_SECONDS`` from its first start to its last end."""
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
            audio = pcm[round(start * RATE) : round(end * RATE)]
            self._spoken.after(start - before)
            language = self._spoken.of(audio)
            if start - before > FORGET_AFTER or self._spoken.changed:
                context = []
            window, answer = self._whisper.hear(audio, language, vocabulary=self._vocabulary, context=context)
            speech = [(region.start - start, region.end - start) for region in regions]
            self._whisper.place(window, answer, language, speech)
            words += words_of(answer, start, language)
            context, before = [*context, *answer.tokens][-240:], end
        return words
