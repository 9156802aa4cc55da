"""Live recognition by utterances: the splitter says when someone speaks, a decoder says what.

Every engine becomes a live one this way, also those that only know whole recordings (their partials are None).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from transcription.engines.base import RecognitionEvent
from transcription.engines.utterances import Utterance, UtteranceSplitter
from transcription.segments import text_of

if TYPE_CHECKING:
    from transcription.segments import Word


class UtteranceDecoder(Protocol):
    """Word times in seconds of the stream, like `Utterance.start`."""

    def final(self, utterance: Utterance) -> list[Word]: ...

    def partial(self, utterance: Utterance) -> list[Word] | None:
        """The words so far of the utterance being spoken; None when there is nothing worth showing yet."""
        ...


class LiveByUtterances:
    """See `LiveEngine`. Times in seconds from the first byte fed, plus `offset`."""

    def __init__(self, decoder: UtteranceDecoder, *, offset: float = 0.0, longest: float = 10.0) -> None:
        self._decoder = decoder
        self._offset = offset
        self._splitter = UtteranceSplitter(longest=longest)
        self._shown = ""

    def feed(self, pcm: bytes, *, partials: bool = True) -> list[RecognitionEvent]:
        events = self._finals(self._splitter.feed(pcm))
        current = self._splitter.current
        if not partials or current is None:
            return events
        words = self._decoder.partial(current)
        text = text_of(words or ())
        if words and text != self._shown:
            self._shown = text
            events.append(RecognitionEvent(self._shifted(words), False, self._offset + current.end))
        return events

    def finish(self) -> list[RecognitionEvent]:
        events = self._finals(self._splitter.finish())
        end = self._offset + self._splitter.seconds
        if not events or events[-1].through < end:
            events.append(RecognitionEvent([], True, end))
        return events

    def _finals(self, ended: list[Utterance]) -> list[RecognitionEvent]:
        if ended:
            self._shown = ""
        return [RecognitionEvent(self._shifted(self._decoder.final(u)), True, self._offset + u.end) for u in ended]

    def _shifted(self, words: list[Word]) -> list[Word]:
        if not self._offset:
            return words
        move = self._offset
        return [w.model_copy(update={"start": w.start + move, "end": w.end + move}) for w in words]
