"""Engines for the gate's own test: the product's, with recorded answers, and worse than it."""

from __future__ import annotations

from transcription.segments import Word
from transcription.vendors.batch.base import PrerecordedRequest, Transcript
from transcription.vendors.batch.local import LocalPrerecorded

ANSWERS: dict[float, list[Word]] = {}
"""By the length of a recording (seconds, to the millisecond) the words that the product's engine heard in it."""


class Recorded(LocalPrerecorded):
    """The product's engine, which answers what it has answered before: the same words without the minutes of work."""

    def submit(self, request: PrerecordedRequest) -> Transcript:
        return Transcript(
            vendor=self.name, model=self.model_name, words=self.changed(ANSWERS[round(request.seconds, 3)]),
            language=request.language, audio_seconds=request.seconds,
        )  # fmt: skip

    def changed(self, words: list[Word]) -> list[Word]:
        return words


class Deaf(Recorded):
    """A worse engine: it does not hear every third word."""

    def changed(self, words: list[Word]) -> list[Word]:
        return [word for at, word in enumerate(words) if at % 3 != 2]


class Chatty(Recorded):
    """An engine that invents a phrase where nobody speaks, as Whisper's first versions did."""

    def changed(self, words: list[Word]) -> list[Word]:
        end = max((word.end for word in words), default=0.0)
        return [*words, *(Word(text=text, start=end + 2, end=end + 2.3) for text in ("Thanks", "for", "watching."))]
