"""Who the live speakers are: clips of each shown voice, handed to the voice labeller when there is enough to decide.

The labeller is the port through which this package asks the one above it; it compares embeddings in a process of its
own. What it leaves undecided stays unknown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from transcription.audio.codecs import RATE
from transcription.metrics import VOICES
from transcription.ports import VoiceLabel

if TYPE_CHECKING:
    from transcription.ports import VoiceLabeller
    from transcription.segments import Word
    from transcription.session.window import AudioWindow

log = structlog.get_logger(__name__)
T = TypeVar("T")

MIN_CLIP = 0.8
"""Seconds: a shorter one says more about the word than about the voice."""
JOIN, MAX_CLIP = 0.4, 4.0
"""Words less than the first apart are one clip, which is at most the second long (seconds)."""
ENOUGH = 5.0
"""Seconds of one voice before it is asked about."""
MORE = 4.0
"""Further seconds before it is asked about again."""
SURE_SOON = 3.0
"""The same of a voice whose name is provisional."""
MAX_KEPT = 30.0
"""Seconds of one voice that are kept (1 MB). At the session's end all of its audio is judged (the capture's run)."""
MIN_JUDGED, JUDGED = 1.0, 2.0
"""Seconds of audio by which words are given a voice: at least, and where so much has come. An engine shows words while
a sentence goes on; what it shows at a time is too short to be judged by itself (docs/listen.md)."""
TURN_PAUSE = 0.4
"""Seconds between two words from which on the second may be somebody else's."""
EMBED_SECONDS = 3.0
MAX_VOICES = 8
ASK_SECONDS = 20.0
RETRY_SECONDS = 15.0


class OnlineClustering:
    """Tells voices apart where the vendor does not: words join the nearest voice so far, or begin one."""

    def __init__(self, labeller: VoiceLabeller, window: AudioWindow) -> None:
        self._labeller = labeller
        self._window = window
        self._backlog = window.backlog()
        self._sums: list[NDArray[np.float32]] = []
        self._not_before = 0.0
        self._asked: asyncio.Task[Any] | None = None  # the engine answers one question after the other
        self._same: float | None = None  # cosine from which two utterances are one voice, on the engine's scale

    def prepare(self) -> None:
        """Have the engine started before the first words come: that takes a busy machine longer than words wait."""
        self._ask(self._learn_scale())

    async def told_apart(self, words: Sequence[Word]) -> list[Word]:
        """The words (session seconds) with a label for the speaker of each; None where it cannot be told."""
        told: list[Word] = []
        runs = _between_pauses(words)
        for run, following in zip_longest(runs, runs[1:]):
            label = await self._voice(run, following[0].start if following else self._window.end / RATE)
            told += [word.model_copy(update={"speaker": label}) for word in run]
        return told

    async def _voice(self, run: Sequence[Word], limit: float) -> str | None:
        """By the audio from its first word on: to its last one, and to ``JUDGED`` seconds where ``limit`` lets it."""
        start = run[0].start
        end = max(run[-1].end, min(start + JUDGED, limit))
        if end - start < MIN_JUDGED or time.monotonic() < self._not_before:
            return None
        place, size = round(start * RATE), round((end - start) * RATE)
        # An engine on a busy machine is behind by more than memory holds: then the journal has it.
        pcm = self._window.peek(place, size) or await self._backlog.read(place, size)
        if len(pcm) < MIN_JUDGED * RATE * 2:
            return None
        vector = await self._in_time(pcm)
        return f"voice/{self._nearest(vector)}" if vector is not None else None

    async def _in_time(self, pcm: bytes) -> NDArray[np.float32] | None:
        """The vector of this audio; None where the engine fails, is slower than words may wait, or is still at an
        earlier question: words do not wait for what was asked before them."""
        if self._asked is not None and not self._asked.done():
            return None
        asked = self._ask(self._vector(pcm))
        await asyncio.wait([asked], timeout=EMBED_SECONDS)
        if not asked.done():
            VOICES.labels("tell_apart", "slow").inc()
            log.warning("live_voices_slow", seconds=EMBED_SECONDS)
            return None
        try:
            vector = asked.result()
        except Exception as error:  # as in Voices: without it the words are shown as one voice's
            self._not_before = time.monotonic() + RETRY_SECONDS
            VOICES.labels("tell_apart", "failed").inc()
            log.warning("live_voices_unavailable", error=type(error).__name__)
            return None
        VOICES.labels("tell_apart", "answered").inc()
        return vector

    def _ask(self, question: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        asked = asyncio.create_task(question, name="live-voices-engine")
        asked.add_done_callback(_heed)
        self._asked = asked
        return asked

    async def _learn_scale(self) -> None:
        if self._same is None:
            self._same = await self._labeller.same_utterance()

    async def _vector(self, pcm: bytes) -> NDArray[np.float32] | None:
        await self._learn_scale()
        [vector] = await self._labeller.embed([np.frombuffer(pcm, "<i2").astype(np.int16)])
        return vector

    def close(self) -> None:
        if self._asked is not None:
            self._asked.cancel()
        self._backlog.close()

    def _nearest(self, vector: NDArray[np.float32]) -> int:
        assert self._same is not None
        scores = [float(total @ vector / np.linalg.norm(total)) for total in self._sums]
        best = int(np.argmax(scores)) if scores else -1
        if best < 0 or (scores[best] < self._same and len(self._sums) < MAX_VOICES):
            self._sums.append(vector.astype(np.float32))
            return len(self._sums) - 1
        self._sums[best] = self._sums[best] + vector
        return best


def _heed(asked: asyncio.Task[Any]) -> None:
    """Take note of an error for which nobody waits any more: asyncio logs it otherwise when the task is collected."""
    if not asked.cancelled():
        asked.exception()


def _between_pauses(words: Sequence[Word]) -> list[list[Word]]:
    runs: list[list[Word]] = []
    for word in words:
        if runs and word.start - runs[-1][-1].end < TURN_PAUSE:
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs


@dataclass(slots=True)
class _Voice:
    clips: list[NDArray[np.int16]] = field(default_factory=list)
    owed: list[tuple[int, int]] = field(default_factory=list)  # (place, samples) to be read from the journal
    seconds: float = 0.0
    asked_at: float = 0.0  # seconds of it when it was last asked about


class Voices:
    """One per session. ``named(label, voice)`` is called when the labeller has decided on a speaker, or changed it."""

    def __init__(
        self, uid: str, labeller: VoiceLabeller, window: AudioWindow, named: Callable[[str, VoiceLabel], None]
    ) -> None:
        self._uid = uid
        self._labeller = labeller
        self._window = window
        self._named = named
        self._backlog = window.backlog()
        self._voices: dict[str, _Voice] = {}
        self._known: dict[str, VoiceLabel] = {}
        self._anybody: bool | None = None
        self._asking: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._open: tuple[str, float, float] | None = None
        self._renamed: dict[str, str] = {}

    def rename(self, labels: dict[str, str]) -> None:
        """Speakers were given other labels (once: when it turned out that the conversation goes on)."""
        self._renamed = labels
        self._voices = {labels.get(label, label): voice for label, voice in self._voices.items()}
        self._known = {labels.get(label, label): voice for label, voice in self._known.items()}
        if self._open is not None:
            self._open = (labels.get(self._open[0], self._open[0]), *self._open[1:])

    def note(self, label: str, start: float, end: float) -> None:
        """Words (session seconds) of one speaker. Vendors give them one by one: what hangs together is one clip."""
        if self._anybody is False:
            return
        if self._open is not None:
            last, began, ended = self._open
            if last == label and start - ended < JOIN and end - began <= MAX_CLIP:
                self._open = (label, began, max(end, ended))
                return
            self._close()
        self._open = (label, start, end)

    def _close(self) -> None:
        if self._open is None:
            return
        (label, start, end), self._open = self._open, None
        if end - start < MIN_CLIP:
            return
        voice = self._voices.setdefault(label, _Voice())
        if voice.seconds >= MAX_KEPT:
            return
        place, size = round(start * RATE), round((end - start) * RATE)
        pcm = self._window.peek(place, size)
        if len(pcm) < size * 2:  # the vendor is behind by more than memory holds: the journal has it
            voice.owed.append((place, size))
            voice.seconds += size / RATE
        else:
            voice.clips.append(np.frombuffer(pcm, "<i2").astype(np.int16))
            voice.seconds += len(pcm) / 2 / RATE

    async def _fetch(self, labels: Sequence[str]) -> None:
        """Read the clips that are owed from the journal, forwards. What it does not hold (a full disk) is dropped."""
        owed = sorted((place, size, label) for label in labels for place, size in self._voices[label].owed)
        for place, size, label in owed:
            voice = self._voices[label]
            pcm = await self._backlog.read(place, size)
            if len(pcm) >= MIN_CLIP * RATE * 2:
                voice.clips.append(np.frombuffer(pcm, "<i2").astype(np.int16))
            voice.seconds += len(pcm) / 2 / RATE - size / RATE
            voice.owed.remove((place, size))

    def tick(self) -> None:
        """Ask for names in the background when there is something new to ask; called once a second."""
        if self._anybody is False or (self._asking is not None and not self._asking.done()):
            return
        if time.monotonic() < self._not_before or not self._due():
            return
        self._asking = asyncio.create_task(self._ask(), name="live-voices")

    async def settle(self) -> None:
        """At the end of the session: a last question, so that what is stored is as good as it can be."""
        self._close()
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=ASK_SECONDS)
        if self._anybody is not False and self._due():
            await self._ask()
        self._backlog.close()

    def _due(self) -> list[str]:
        """The voices of which enough is new. All are asked about when one is: one person is one voice of the room."""
        return [
            label
            for label, voice in self._voices.items()
            if voice.seconds >= ENOUGH and voice.seconds - voice.asked_at >= self._step(label, voice)
        ]

    def _step(self, label: str, voice: _Voice) -> float:
        known = self._known.get(label)
        return 0.0 if not voice.asked_at else SURE_SOON if known is not None and known.provisional else MORE

    async def _ask(self) -> None:
        renamed = self._renamed
        try:
            async with asyncio.timeout(ASK_SECONDS):
                if self._anybody is None:
                    self._anybody = await self._labeller.has_profile(self._uid)
                if not self._anybody:
                    self._voices.clear()
                    return
                await self._fetch(list(self._voices))
                if not self._due():
                    return
                due = [label for label, voice in self._voices.items() if voice.clips]
                found = await self._labeller.label(self._uid, {label: self._voices[label].clips for label in due})
        except Exception as error:  # whatever stands behind the port: names are a help, the words go on
            self._not_before = time.monotonic() + RETRY_SECONDS
            VOICES.labels("name", "slow" if isinstance(error, TimeoutError) else "failed").inc()
            log.warning("live_voices_unavailable", error=type(error).__name__)
            return
        VOICES.labels("name", "answered").inc()
        if self._renamed is not renamed:  # while it was asked
            due = [self._renamed.get(label, label) for label in due]
            found = {self._renamed.get(label, label): voice for label, voice in found.items()}
        for label in due:
            self._voices[label].asked_at = self._voices[label].seconds
        self._take(found)

    def _take(self, found: Mapping[str, VoiceLabel]) -> None:
        """A name holds as long as it is heard: what was judged and is nobody's now is nobody's again."""
        for label, voice in found.items():
            if not voice.judged:
                continue
            before = self._known.get(label, _NOBODY)
            self._known[label] = voice
            if (before.is_user, before.person_id) != (voice.is_user, voice.person_id):
                self._named(label, voice)


_NOBODY = VoiceLabel()
