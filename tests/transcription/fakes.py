"""In-memory neighbours of the live session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omi.core.errors import ProviderError
from transcription.ports import FINAL, Accounting, Conversation, Piece, SessionInfo, VoiceLabel
from transcription.segments import Segment, Word
from transcription.vendors.live.base import LiveCapabilities, LiveRequest, LiveResult


@dataclass
class Finished:
    session: SessionInfo
    conversation: Conversation
    reason: str
    accounting: Accounting | None
    keep: bool


class MemorySink:
    """A SessionSink. ``down``: every call raises. ``gap``: a session that begins within it resumes the last."""

    def __init__(self, *, gap: float = 120.0) -> None:
        self.gap = gap
        self.down = False
        self.conversations: dict[str, Conversation] = {}
        self.stored: dict[str, list[Segment]] = {}
        self.transcripts: dict[str, dict[str, list[Segment]]] = {}
        self.finished: list[Finished] = []
        self.assigned: dict[str, VoiceLabel] = {}
        self.events: list[dict[str, Any]] = []
        self.last: tuple[str, str, float] | None = None
        self.watched: list[bool] = []
        self.closed: list[tuple[str, str]] = []
        self.pieces: list[list[int]] = []  # the numbers that each store wrote
        self._shown: dict[tuple[str, str, int], list[Segment]] = {}
        self.people: set[str] = set()

    def _check(self) -> None:
        if self.down:
            raise ConnectionError("the store is down")

    async def resume(self, session: SessionInfo) -> Conversation | None:
        self._check()
        began = session.started_at.timestamp()
        if self.last and self.last[0] == session.uid and began - self.last[2] <= self.gap:
            found = self.conversations[self.last[1]]
            if any(item == found.id and reason in FINAL for item, reason in self.closed):
                return None
            return Conversation(
                found.id,
                found.started_at,
                began - found.started_at.timestamp(),
                True,
                list(self.stored.get(found.id, [])),
            )
        return None

    async def open(self, session: SessionInfo, *, watch: bool = True) -> Conversation:
        self._check()
        self.watched.append(watch)
        if (resumed := await self.resume(session)) is not None:
            return resumed
        conversation = Conversation(f"c{len(self.conversations)}", session.started_at)
        self.conversations[conversation.id] = conversation
        self.append(session.uid, "new_processing_memory_created", processing_memory_id=conversation.id)
        return conversation

    async def store(
        self,
        session: SessionInfo,
        conversation: Conversation,
        pieces: Sequence[Piece],
        *,
        last_audio: float,
        heard_at: float | None = None,
        assigned: Mapping[str, VoiceLabel] | None = None,
    ) -> None:
        self._check()
        self.assigned.update(assigned or {})
        self.pieces.append([piece.number for piece in pieces])
        for piece in pieces:
            name = conversation.id, session.session_id, piece.number
            self._shown[name] = [segment.model_copy() for segment in piece.segments]
        everything = [item for (owner, *_), own in self._shown.items() if owner == conversation.id for item in own]
        self.stored[conversation.id] = sorted(everything, key=lambda item: (item.start, item.end))
        self.last = (session.uid, conversation.id, conversation.started_at.timestamp() + last_audio)

    async def close(self, session: SessionInfo, conversation: Conversation, *, reason: str) -> None:
        self._check()
        self.closed.append((conversation.id, reason))

    async def store_transcripts(
        self, session: SessionInfo, conversation: Conversation, transcripts: dict[str, list[Segment]]
    ) -> None:
        self._check()
        self.transcripts.setdefault(conversation.id, {}).update(transcripts)

    async def finish(
        self,
        session: SessionInfo,
        conversation: Conversation,
        *,
        reason: str,
        accounting: Accounting | None = None,
        keep: bool = False,
    ) -> None:
        self._check()
        self.finished.append(Finished(session, conversation, reason, accounting, keep))
        self.append(session.uid, "new_memory_created", memory_id=f"m-{conversation.id}")

    def append(self, uid: str, kind: str, **payload: Any) -> None:
        self.events.append(
            {"type": kind, "event_type": kind, "event_number": len(self.events) + 1, "uid": uid, **payload}
        )

    async def events_after(
        self, uid: str, number: int, limit: int = 100, *, memories: bool = True
    ) -> list[dict[str, Any]]:
        self._check()
        return [event for event in self.events if event["event_number"] > number and event["uid"] == uid][:limit]

    async def latest_events(self, uids: Collection[str]) -> dict[str, int]:
        self._check()
        return dict.fromkeys(uids, len(self.events))

    async def knows_person(self, uid: str, person_id: str) -> bool:
        self._check()
        return person_id in self.people

    def events_group(self, uid: str) -> str:
        return "events.test"

    def text(self, conversation: str = "c0") -> str:
        return " ".join(segment.text for segment in self.stored.get(conversation, []))


class NoBreaker:
    def __init__(self) -> None:
        self.failures: list[ProviderError] = []

    async def wait_before_call(self) -> float:
        return 0.0

    async def failed(self, error: ProviderError) -> None:
        self.failures.append(error)

    async def succeeded(self) -> None:
        pass


@dataclass
class Script:
    """A vendor that hears ``words`` (stream = session time) only in audio it is really sent.

    Each word of the truth is spoken by a non-zero sample at its start: ``spoken_pcm`` makes such audio.
    """

    name: str = "alpha"
    diarization: bool = False
    billed: bool = False
    languages: frozenset[str] | None = None
    open_errors: list[ProviderError] = field(default_factory=list)
    fail_after: list[tuple[float, ProviderError]] = field(default_factory=list)
    mute_after: float | None = None
    repeat_finals: bool = False
    delay: float = 0.0
    voices: int = 1
    mishears: dict[int, str] = field(default_factory=dict)
    utterance: int = 1  # words that are given together

    def __post_init__(self) -> None:
        self.model_name = f"{self.name}_streaming"
        self.capabilities = LiveCapabilities(
            languages=self.languages, diarization=self.diarization, billed_by_second=self.billed
        )
        self.streams: list[ScriptStream] = []
        self.requests: list[LiveRequest] = []

    async def open(self, request: LiveRequest) -> ScriptStream:
        self.requests.append(request)
        if self.open_errors:
            raise self.open_errors.pop(0)
        stream = ScriptStream(self)
        self.streams.append(stream)
        return stream


WORD_SECONDS = 0.3


def spoken_pcm(numbers: Sequence[int], every: float = 0.5) -> bytes:
    """PCM in which number n is "said" every ``every`` seconds: a stretch of the constant n * 100."""
    import numpy as np

    step = round(every * 16000)
    audio = np.zeros(step * len(numbers), "<i2")
    for index, number in enumerate(numbers):
        audio[index * step : index * step + round(WORD_SECONDS * 16000)] = number * 100
    return audio.tobytes()


class ScriptStream:
    def __init__(self, script: Script) -> None:
        self.script = script
        self.audio = bytearray()
        self.said = 0.0
        self._results: asyncio.Queue[LiveResult | ProviderError | None] = asyncio.Queue()
        self.keep_alives = self.flushes = 0
        self.closed = False
        fail = script.fail_after.pop(0) if script.fail_after else None
        self._fail = fail
        self._held: list[Word] = []

    async def send(self, audio: bytes) -> None:
        if self.script.delay:
            await asyncio.sleep(self.script.delay)
        self.audio += audio
        now = len(self.audio) / 32000
        if self._fail and now >= self._fail[0]:
            self._results.put_nowait(self._fail[1])
            raise self._fail[1]
        self._hear(now - WORD_SECONDS, final_at=now)

    def send_now(self, audio: bytes) -> bool:
        if self.script.delay or (self._fail and len(self.audio) + len(audio) >= self._fail[0] * 32000):
            return False  # ``send`` waits, or fails
        self.audio += audio
        now = len(self.audio) / 32000
        self._hear(now - WORD_SECONDS, final_at=now)
        return True

    def _hear(self, until: float, final_at: float) -> None:
        import numpy as np

        if self.script.mute_after is not None and final_at > self.script.mute_after:
            return
        samples = np.frombuffer(bytes(self.audio[: len(self.audio) & ~1]), "<i2")
        words = []
        start = round(self.said * 16000)
        while start < len(samples):
            if samples[start] == 0:
                following = np.flatnonzero(samples[start:])
                if not len(following):
                    break
                start += int(following[0])
            value = samples[start]
            end = start
            while end < len(samples) and samples[end] == value:
                end += 1
            if end / 16000 > until and end == len(samples):
                break
            if end - start >= 0.6 * WORD_SECONDS * 16000:
                number = int(value) // 100
                speaker = str(number % self.script.voices) if self.script.diarization else None
                text = self.script.mishears.get(number, f"w{number}")
                words.append(Word(text=text, start=start / 16000, end=end / 16000, speaker=speaker))
            start = end
            self.said = end / 16000
        self._held += words
        while len(self._held) >= self.script.utterance:
            given, self._held = self._held[: self.script.utterance], self._held[self.script.utterance :]
            self._put(LiveResult(tuple(given), True, given[-1].end))

    def _put(self, result: LiveResult) -> None:
        self._results.put_nowait(result)
        if self.script.repeat_finals:
            self._results.put_nowait(result)

    async def keep_alive(self) -> None:
        self.keep_alives += 1

    async def flush(self) -> None:
        self.flushes += 1

    async def finish(self) -> None:
        total = len(self.audio) / 32000
        self._hear(total + 1, final_at=total)
        if self._held:
            self._put(LiveResult(tuple(self._held), True, self.said))
        if self.script.mute_after is None or total <= self.script.mute_after:
            self._put(LiveResult((), True, total))
            self._results.put_nowait(None)

    async def close(self) -> None:
        self.closed = True

    async def results(self) -> AsyncIterator[LiveResult]:
        while (item := await self._results.get()) is not None:
            if isinstance(item, ProviderError):
                raise item
            yield item
