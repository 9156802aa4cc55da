"""One vendor in one session: connects, feeds, listens, reconnects, and keeps what it heard in session time.

Each vendor is given the session's audio at its own pace. After a drop the next connection starts where the vendor had
decided words, so nothing is lost and nothing is heard twice; a vendor slower than the client simply falls behind, and
the journal holds what it has yet to hear.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable

import structlog

from omi.core.errors import ErrorKind, Outcome, ProviderError
from transcription.audio.codecs import RATE
from transcription.audio.vad import SpeechGate
from transcription.metrics import LIVE_DOLLARS, VENDOR_AUDIO, VENDOR_FAILURES, VENDOR_REPLAYED, VENDOR_WORDS
from transcription.segments import Word
from transcription.session.timeline import Timeline
from transcription.session.vendor_state import State, Tuning
from transcription.session.window import AudioWindow, Backlog
from transcription.spans import subtract
from transcription.vendors.circuit_breaker import Breaker
from transcription.vendors.live.base import NO_ROOM, LiveRequest, LiveResult, LiveStream, LiveTranscriber

log = structlog.get_logger(__name__)

LEAD_IN = round(0.3 * RATE)
"""A new connection hears this much again before the words it owes, or it would miss the first sound."""
CATCH_UP_SPEED = 3.0
"""Times real time at which a vendor that wants real time is fed what it missed."""
MAX_SEND = RATE  # samples in one message: a second
OURS = "internal"


class VendorSession:
    """One vendor's work in a session. ``words`` are final, sorted as they came, in session seconds; ``done_until``: all
    before it is decided."""

    def __init__(
        self,
        vendor: LiveTranscriber,
        request: LiveRequest,
        window: AudioWindow,
        gate: SpeechGate | None,
        breaker: Breaker,
        on_change: Callable[[VendorSession], None],
        tuning: Tuning | None = None,
    ) -> None:
        self.vendor = vendor
        self.request = request
        self.breaker = breaker
        self.state = State.IDLE
        self.error: ProviderError | None = None
        self.words: list[Word] = []
        self.done_until = 0.0
        self.begins_at = 0.0
        self.lost: list[tuple[float, float, str]] = []
        self.live_since = 0.0
        self.connections = 0
        self._window = window
        self._gate = gate if vendor.capabilities.billed_by_second else None
        self._on_change = on_change
        self._tuning = tuning or Tuning()
        self._cursor = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._result_at = 0.0
        self._sent_since_result = 0
        self._flushed_at_cut = -1
        self._failures = 0
        self.failures: Counter[str] = Counter()
        self._heard_before = -1.0  # end of the last word of the connections before this one
        self._said: dict[str, list[float]] = {}  # where each word was heard
        self._waiting: tuple[LiveStream, Timeline] | None = None  # while the sender has sent all there is
        self._sent_at = 0.0
        self._furthest = 0  # sample up to which the vendor was ever sent audio
        self._sent_seconds = VENDOR_AUDIO.labels(vendor.name)
        self._replayed_seconds = VENDOR_REPLAYED.labels(vendor.name)
        self._words_seconds = VENDOR_WORDS.labels(vendor.name)
        self._dollars_per_sample = vendor.capabilities.cost_per_minute / 60 / RATE
        self._unpaid = 0  # samples

    @property
    def name(self) -> str:
        return self.vendor.name

    @property
    def live(self) -> bool:
        return self.state is State.LIVE

    @property
    def heard(self) -> list[tuple[float, float]]:
        """The stretches of the session (seconds) in which this vendor decided what was said."""
        return subtract([(self.begins_at, self.done_until)], sorted((start, end) for start, end, _ in self.lost))

    @property
    def fed_until(self) -> float:
        return self._cursor / RATE

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, at: float = 0.0) -> None:
        """Begin to listen at a session time."""
        self.begins_at = self.done_until = at
        self._cursor = round(at * RATE)
        self._task = asyncio.create_task(self._run(), name=f"session-{self.name}")

    def wake(self) -> None:
        """New audio, or the end of it."""
        if self._waiting is None or not self._forward(*self._waiting):
            self._wake.set()

    def _forward(self, stream: LiveStream, timeline: Timeline) -> bool:
        """Send the newest audio from here: nearly always it is all that the vendor has yet to hear, and waking the
        sender's task for it costs more than the sending. False: the sender must look."""
        start, stop = self._stretch()
        if not start < stop <= start + MAX_SEND or start < self._window.start or self._window.closed:
            return False
        pcm = self._window.peek(start, stop - start)
        if not stream.send_now(pcm):
            return False
        timeline.add(start, len(pcm) // 2)
        self._sent(start, len(pcm) // 2)
        return True

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    # --- the connection ---------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            wait = await self.breaker.wait_before_call()
            if wait > 0:
                if await self._rest(wait):
                    return
                continue
            stream: LiveStream | None = None
            try:
                self._set(State.CONNECTING)
                stream = await self._open()
                await self._talk(stream)
            except ProviderError as error:
                if not await self._failed(error):
                    return
            except Exception:  # ours: said aloud, and tried again, or the session would go deaf and count as healthy
                log.exception("live_session_failed", vendor=self.name)
                broken = ProviderError(self.name, "this server failed", kind=ErrorKind.TRANSIENT, code=OURS)
                if not await self._failed(broken):
                    return
            else:
                self._set(State.DONE)
                return
            finally:
                self._pay()
                if stream is not None:
                    await stream.close()

    async def _open(self) -> LiveStream:
        try:
            async with asyncio.timeout(self._tuning.connect):
                return await self.vendor.open(self.request)
        except TimeoutError:
            raise ProviderError(
                self.name, "the connection was not answered", kind=ErrorKind.TRANSIENT, code="connect_timeout"
            ) from None

    async def _talk(self, stream: LiveStream) -> None:
        """Send and listen until the session's last word. Raises ProviderError when the connection fails."""
        self.connections += 1
        timeline = Timeline()
        first = round(self.begins_at * RATE)
        self._cursor = max(first, round(self.done_until * RATE) - LEAD_IN)
        self._heard_before = max((word.end for word in self.words), default=-1.0)
        self._result_at, self._sent_since_result = time.monotonic(), 0
        self._flushed_at_cut = len(self._gate.cuts) if self._gate else -1
        self._set(State.LIVE)
        sender = asyncio.create_task(self._send(stream, timeline))
        listener = asyncio.create_task(self._listen(stream, timeline))
        try:
            done, _ = await asyncio.wait([sender, listener], return_when=asyncio.FIRST_COMPLETED)
            if listener not in done:
                sender.result()  # raises what it died of
                await listener
            else:
                listener.result()
                if not (sender.done() and sender.exception() is None):
                    if sender.done():
                        sender.result()
                    raise ProviderError(
                        self.name, "the vendor ended the stream", kind=ErrorKind.TRANSIENT, code="ended"
                    )
        finally:
            for task in (sender, listener):
                task.cancel()
            await asyncio.gather(sender, listener, return_exceptions=True)
        self.done_until = max(self.done_until, self._window.end / RATE)

    async def _send(self, stream: LiveStream, timeline: Timeline) -> None:
        backlog = self._window.backlog()
        self._sent_at = time.monotonic()
        try:
            while True:
                self._wake.clear()
                self._check_stall()
                start, pcm = await self._next(backlog)
                if pcm:
                    timeline.add(start, len(pcm) // 2)
                    await stream.send(pcm)
                    self._sent(start, len(pcm) // 2)
                    await self._pace(len(pcm) // 2)
                    continue
                if self._window.closed and self._cursor >= self._window.end:
                    await stream.finish()
                    return
                if self._gate_has_closed():
                    await stream.flush()
                self._waiting = stream, timeline
                await self._wake.wait()  # for audio, or for the supervisor's tick: a timer per batch would cost more
                self._waiting = None
                if time.monotonic() - self._sent_at >= self._tuning.keep_alive:
                    await stream.keep_alive()
                    self._sent_at = time.monotonic()
        finally:
            self._waiting = None
            backlog.close()

    def _sent(self, start: int, samples: int) -> None:
        self._cursor = start + samples
        self._sent_seconds.inc(samples / RATE)
        self._unpaid += samples
        if self._unpaid >= RATE:  # once a second: adding to a counter of all processes costs more than the rest of this
            self._pay()
        if start < self._furthest:
            self._replayed_seconds.inc((min(self._cursor, self._furthest) - start) / RATE)
        self._furthest = max(self._furthest, self._cursor)
        self._sent_since_result += samples
        self._sent_at = time.monotonic()

    def _pay(self) -> None:
        if self._dollars_per_sample and self._unpaid:
            LIVE_DOLLARS.inc(self.name, amount=self._unpaid * self._dollars_per_sample)
        self._unpaid = 0

    def _stretch(self) -> tuple[int, int]:
        """What is to be sent next: from and to in the session. No further than from: there is nothing yet."""
        start, stop = self._cursor, self._window.end
        if self._gate is not None:
            cuts = self._gate.cuts
            index = max(0, bisect_right(cuts, start / RATE, key=lambda cut: cut.session) - 1)
            while index < len(cuts) and round((cuts[index].session + cuts[index].seconds) * RATE) <= start:
                index += 1
            if index >= len(cuts):
                return start, start
            start = max(start, round(cuts[index].session * RATE))
            stop = min(stop, round((cuts[index].session + cuts[index].seconds) * RATE))
        return start, stop

    async def _next(self, backlog: Backlog) -> tuple[int, bytes]:
        """The next stretch to send: (its place in the session, audio)."""
        window = self._window
        start, stop = self._stretch()
        samples = min(stop - start, MAX_SEND)
        if samples <= 0:
            if window.closed and self._gate is not None:
                self._cursor = window.end  # what is left is silence
            return start, b""
        if start >= window.start:
            return start, window.peek(start, samples)
        pcm = await backlog.read(start, min(samples, max(0, window.start - start) or samples))
        if pcm:
            return start, pcm
        # The journal does not hold it (full disk): go on with what memory has, and say what was missed.
        begin = max(start, window.start)
        self.lost.append((start / RATE, begin / RATE, "journal_unavailable"))
        self._cursor = begin
        return begin, window.peek(begin, min(MAX_SEND, max(0, stop - begin)))

    async def _pace(self, samples: int) -> None:
        if self.vendor.capabilities.realtime_only and self._window.end - self._cursor > RATE:
            await asyncio.sleep(samples / RATE / CATCH_UP_SPEED)

    def _gate_has_closed(self) -> bool:
        """True once when speech has ended: the vendor is asked for its final words now, not at the next sentence."""
        if self._gate is None or not self._gate.cuts:
            return False
        cut = self._gate.cuts[-1]
        over = self._window.end / RATE - (cut.session + cut.seconds) > 0.1
        if over and self._flushed_at_cut != len(self._gate.cuts) and self._sent_since_result:
            self._flushed_at_cut = len(self._gate.cuts)
            return True
        return False

    def _check_stall(self) -> None:
        if not self.vendor.capabilities.reports_progress:
            return
        quiet = time.monotonic() - self._result_at
        if quiet > self._tuning.stall and self._sent_since_result > min(3.0, self._tuning.stall / 3) * RATE:
            raise ProviderError(
                self.name, "the vendor has not answered while audio was sent", kind=ErrorKind.TRANSIENT, code="stalled"
            )

    async def _listen(self, stream: LiveStream, timeline: Timeline) -> None:
        first = True
        async for result in stream.results():
            self._result_at, self._sent_since_result = time.monotonic(), 0
            if first:
                first = False
                self._failures = 0
                await self.breaker.succeeded()
            self._take(result, timeline)

    def _take(self, result: LiveResult, timeline: Timeline) -> None:
        if not result.final:
            return
        fresh: list[Word] = []
        for word in result.words:
            start = timeline.to_session(word.start)
            end = max(start, timeline.to_session(word.end, end=True))
            if (start + end) / 2 <= self._heard_before or self._is_repeated(word.text, start):
                continue
            label = None if word.speaker is None else f"{self.name}/{self.connections}/{word.speaker}"
            fresh.append(word.model_copy(update={"start": start, "end": end, "speaker": label}))
        self.words.extend(fresh)
        if fresh and not self._window.closed:  # then no audio comes by which to tell the time
            self._words_seconds.observe(max(0.0, self._window.end / RATE - fresh[-1].end))
        heard = result.heard_until
        if heard is None and result.words:
            heard = result.words[-1].end
        if heard is not None:
            self.done_until = max(self.done_until, timeline.to_session(heard, end=True))
        self._on_change(self)

    def _is_repeated(self, text: str, start: float) -> bool:
        """A final that the vendor sent twice. Looks at the last times that this word was heard."""
        before = self._said.setdefault(text, [])
        if any(abs(old - start) < 0.005 for old in before):
            return True
        before.append(start)
        del before[:-8]
        return False

    # --- failures ---------------------------------------------------------------------------------------------------

    async def _failed(self, error: ProviderError) -> bool:
        """Count it; True when another try makes sense after the wait that this has done."""
        self.error = error
        self._failures += 1
        self.failures[error.code or error.kind.value] += 1
        # Where our own question was wrong the vendor is well: for everybody else it goes on.
        if error.code not in ("unsupported", OURS, NO_ROOM) and error.outcome is not Outcome.INVALID_INPUT:
            await self.breaker.failed(error)
        VENDOR_FAILURES.labels(self.name, error.code if error.code in (OURS, NO_ROOM) else error.kind.value).inc()
        told = {"vendor": self.name, "kind": error.kind.value, "code": error.code}
        if error.retryable:
            log.warning("live_vendor_failed", **told)
        else:
            log.error("live_vendor_failed", **told)
        if error.kind is not ErrorKind.TRANSIENT:
            self._set(State.OFF)
            return False
        wait = min(self._tuning.max_backoff, self._tuning.backoff * 2 ** (self._failures - 1)) * random.uniform(
            0.7, 1.3
        )
        return not await self._rest(max(wait, error.retry_after or 0.0))

    async def _rest(self, seconds: float) -> bool:
        """Wait before the next try. True when the session ended meanwhile and no try makes sense any more."""
        self._set(State.WAITING)
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._window.closed and left > 3.0:
                self._set(State.OFF)
                return True
            await asyncio.sleep(min(left, 0.25))
        return False

    def _set(self, state: State) -> None:
        if state is self.state:
            return
        if state is State.LIVE:
            self.live_since = time.monotonic()
            self.error = None
        self.state = state
        self._on_change(self)
