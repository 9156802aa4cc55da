"""A live stream: utterances are heard as they end, and while one goes on its words are shown once they stand still.

The policy is LocalAgreement-2 (Liu, Spanakis and Niehues 2020, "Low-Latency Sequence-to-Sequence Speech Recognition
and Translation by Partial Hypothesis Selection"; for Whisper: Macháček, Dabre and Bojar 2023, "Turning Whisper into
Real-Time Transcription System", arXiv 2307.14743): every second the utterance so far is heard anew, and the words on
which two hearings in a row agree are shown. What was shown is the beginning of every later answer (the decoder is made
to begin with its tokens), so shown words never change, and never their order.

Whisper needs surroundings: a second of speech alone it hears badly. Each hearing therefore begins some seconds before
the utterance, at words that are shown already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from transcription.audio.vad import FRAME_SECONDS
from transcription.engines.base import RATE, RecognitionEvent
from transcription.engines.utterances import Utterance, UtteranceSplitter
from transcription.engines.whisper.batch import FORGET_AFTER, LONGEST_PAUSE, words_of
from transcription.engines.whisper.languages import Spoken
from transcription.engines.whisper.model import Answer, Whisper, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from transcription.engines.whisper.words import TimedWord
    from transcription.segments import Word

LONGEST = 12.0
"""Seconds of an utterance; a longer one is cut at its least speech-like moment."""
SURROUNDINGS = 14.0
"""Seconds of a hearing: the utterance with what was said before it."""
PARTIAL_EVERY = 1.0
"""Seconds of new speech between two hearings of an utterance that goes on."""
HELD_BACK = 1
"""Last words of a hearing that are not shown yet: they may be half spoken."""
LEAST_STEP = 0.01  # seconds
PARTIAL_BEAM, FINAL_BEAM = 1, 5


@dataclass(slots=True)
class Said:
    """An utterance whose words are shown: ``tokens`` of them, from ``start`` to ``end`` seconds of the stream."""

    start: float
    end: float
    tokens: list[int]
    regions: list[tuple[float, float]]


class WhisperStream:
    """See ``LiveEngine``. Times in seconds from the first byte fed, plus ``offset``. Finals only: words that may still
    change are not given out."""

    def __init__(
        self, whisper: Whisper, *, language: str | None = None, vocabulary: str = "", offset: float = 0.0
    ) -> None:
        self._whisper = whisper
        self._spoken = Spoken(whisper, language)
        self._vocabulary = vocabulary
        self._offset = offset
        self._splitter = UtteranceSplitter(longest=LONGEST)
        self._recent = bytearray()  # the stream's last seconds
        self._recent_end = 0  # bytes of the stream
        self._said: list[Said] = []
        self._language: str | None = None
        self._open = Said(-1.0, -1.0, [], [])  # what is shown of the utterance being spoken
        self._last: list[str] = []  # what the hearing before said beyond that
        self._heard_frames = 0

    def feed(self, pcm: bytes, *, partials: bool = True) -> list[RecognitionEvent]:
        events: list[RecognitionEvent] = []
        for at in range(
            0, len(pcm), RATE * 2
        ):  # a second at a time: of a long piece, too, the surroundings are at hand
            piece = pcm[at : at + RATE * 2]
            self._remember(piece)
            for utterance in self._splitter.feed(piece):
                events.append(self._final(utterance))
        current = self._splitter.current
        if partials and current is not None and self._due(current):
            words = self._agreed(current)
            if words:
                events.append(RecognitionEvent(self._shifted(words), True, self._offset + words[-1].end))
        return events

    def finish(self) -> list[RecognitionEvent]:
        events = [self._final(utterance) for utterance in self._splitter.finish()]
        end = self._offset + self._splitter.seconds
        if not events or events[-1].through < end:
            events.append(RecognitionEvent([], True, end))
        return events

    # --- the utterance being spoken ----------------------------------------------------------------------------------

    def _due(self, current: Utterance) -> bool:
        if self._open.start != current.start:
            self._begin(current.start)
        return (len(current.frames) - self._heard_frames) * FRAME_SECONDS >= PARTIAL_EVERY

    def _begin(self, start: float) -> None:
        if self._said:
            self._spoken.after(start - self._said[-1].end)
        self._open = Said(start, start, [], [])
        self._last = []
        self._heard_frames = 0

    def _agreed(self, current: Utterance) -> list[Word]:
        """The words that this hearing and the one before it agree on, and that are not shown yet."""
        self._heard_frames = len(current.frames)
        start, window, answer, shown = self._hear(current, beam=PARTIAL_BEAM)
        fresh = self._whisper.tokens.words(answer.tokens[shown:])
        if answer.doubtful or answer.echoes or len(fresh) <= HELD_BACK:
            self._last = []
            return []
        plain = [_plain(word.text) for word in fresh]
        agreed = 0
        for mine, before in zip(plain[:-HELD_BACK], self._last, strict=False):
            if mine != before:
                break
            agreed += 1
        if not agreed:
            self._last = plain
            return []
        self._whisper.place(window, answer, self._language, self._speech(start, current))
        until = shown + sum(word.length for word in fresh[:agreed])
        while agreed and not _plain(fresh[agreed - 1].text):  # marks go with the next word: there may be more of them
            agreed -= 1
            until -= fresh[agreed].length
        self._last = plain[agreed:]
        placed = [word for word in answer.words if shown <= word.first and word.until <= until]
        if not placed:
            return []
        self._open.tokens += answer.tokens[shown : placed[-1].until]
        self._last = [_plain(w.text) for w in self._whisper.tokens.words(answer.tokens[placed[-1].until :])]
        words = self._words(answer, placed, start)
        if not words:
            return []
        self._open.end = current.decided = words[-1].end
        return words

    # --- the end of one ----------------------------------------------------------------------------------------------

    def _final(self, utterance: Utterance) -> RecognitionEvent:
        if self._open.start != utterance.start:
            self._begin(utterance.start)
        start, window, answer, shown = self._hear(utterance, beam=FINAL_BEAM)
        speech = self._speech(start, utterance)
        if answer.doubtful or answer.echoes:
            # Perhaps what is shown misleads it: the rest of the utterance by itself.
            start = max(utterance.start, self._open.end)
            window, answer = self._whisper.hear(self._audio(start, utterance.end), self._language)
            speech, shown = [(0.0, utterance.end - start)], 0
        self._whisper.place(window, answer, self._language, speech)
        placed = [word for word in answer.words if word.first >= shown]
        words = self._words(answer, placed, start)
        self._open.tokens += answer.tokens[shown:]
        self._open.end = utterance.end
        self._open.regions = [(utterance.start, utterance.end)]
        if self._open.tokens:
            self._said = [*self._said[-12:], self._open]
        # What follows a cut belongs to the same breath: its beginning is another utterance all the same.
        self._begin(utterance.end)
        return RecognitionEvent(self._shifted(words), True, self._offset + utterance.end)

    # --- hearing -----------------------------------------------------------------------------------------------------

    def _hear(self, utterance: Utterance, *, beam: int) -> tuple[float, Window, Answer, int]:
        """(start of the window in stream seconds, window, answer, how many of its tokens are shown already)."""
        before = self._before(utterance)
        start = before[0].start if before else utterance.start
        audio = self._audio(start, utterance.end)
        if self._language is None or not self._open.tokens:
            self._language = self._spoken.of(self._audio(utterance.start, utterance.end))
            if self._spoken.changed:
                self._said, before, start = [], [], utterance.start
                audio = self._audio(start, utterance.end)
        prefix = [token for said in before for token in said.tokens] + self._open.tokens
        context = [token for said in self._earlier(start) for token in said.tokens]
        prompt = self._whisper.tokens.prompt(self._language, vocabulary=self._vocabulary, context=context)
        window = self._whisper.window(audio)
        fresh = utterance.end - max(self._open.end, utterance.start)
        answer = self._whisper.answer(window, prompt, prefix=prefix, beam=beam, fresh=fresh)
        return start, window, answer, len(prefix)

    def _before(self, utterance: Utterance) -> list[Said]:
        """The utterances before this one that its window holds, in order."""
        found: list[Said] = []
        begin = utterance.start
        for said in reversed(self._said):
            near = begin - said.end <= LONGEST_PAUSE and utterance.end - said.start <= SURROUNDINGS
            if not near or said.start < self._recent_start:
                break
            found.insert(0, said)
            begin = said.start
        return found

    def _earlier(self, start: float) -> list[Said]:
        return [said for said in self._said if said.end <= start and start - said.end < FORGET_AFTER]

    def _speech(self, start: float, utterance: Utterance) -> list[tuple[float, float]]:
        regions = [(said.start, said.end) for said in self._said if said.start >= start]
        return [(a - start, b - start) for a, b in [*regions, (utterance.start, utterance.end)]]

    def _words(self, answer: Answer, placed: list[TimedWord], start: float) -> list[Word]:
        """No word before those that are shown (two hearings may differ by some hundredths about where one ends), and no
        two at one moment (the same word at the same time would be taken for one that came twice)."""
        floor = self._open.end - start
        for word in placed:
            word.start = max(word.start, floor)
            word.end = max(word.end, word.start + FRAME_SECONDS)
            floor = word.start + LEAST_STEP
        return words_of(Answer(answer.tokens, "", answer.score, answer.no_speech, placed), start, self._language)

    def _shifted(self, words: list[Word]) -> list[Word]:
        if not self._offset:
            return words
        move = self._offset
        return [w.model_copy(update={"start": w.start + move, "end": w.end + move}) for w in words]

    # --- the last seconds of the stream ------------------------------------------------------------------------------

    @property
    def _recent_start(self) -> float:
        return (self._recent_end - len(self._recent)) / 2 / RATE

    def _remember(self, pcm: bytes) -> None:
        self._recent += pcm
        self._recent_end += len(pcm)
        surplus = len(self._recent) - round((SURROUNDINGS + LONGEST) * RATE) * 2
        if surplus > 0:
            del self._recent[:surplus]

    def _audio(self, start: float, end: float) -> NDArray[np.int16]:
        first = round((start - self._recent_start) * RATE) * 2
        data = bytes(self._recent[max(0, first) : max(0, first) + round((end - start) * RATE) * 2])
        return np.frombuffer(data[: len(data) & ~1], np.int16)


class WhisperLive:
    """Opens live streams of one loaded Whisper model (``LiveModel``)."""

    model = "whisper_streaming"

    def __init__(self, whisper: Whisper) -> None:
        self._whisper = whisper

    def stream(self, *, language: str | None = None, vocabulary: str = "", offset: float = 0.0) -> WhisperStream:
        return WhisperStream(self._whisper, language=language, vocabulary=vocabulary, offset=offset)


def _plain(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
