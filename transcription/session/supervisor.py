"""All vendors of one session: who listens, whose words are shown, what happens when one falls out.

``parallel``: every vendor hears the stream; the first healthy one in order of preference is shown. When it fails the
next one's words are shown from where the failed one stopped: it has been listening, so nothing is missing, and words
the failed one had already given are not given again. ``failover``: one vendor at a time; the next one is fed from where
the failed one had decided words.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from transcription.audio.vad import SpeechGate
from transcription.consensus import vote, weights_from
from transcription.segments import Segment, Word, segments_from_words
from transcription.session.vendor_session import VendorSession
from transcription.session.vendor_state import State, Tuning
from transcription.session.window import AudioWindow
from transcription.spans import length, merge, subtract
from transcription.vendors.circuit_breaker import Breaker
from transcription.vendors.live.base import NO_ROOM, LiveRequest, LiveTranscriber

log = structlog.get_logger(__name__)

CONNECT_GRACE_SECONDS = 3.0
"""How long the preferred vendor may take to connect before another one's words are shown."""
UNKNOWN = 0.9
"""Accuracy of a vendor whose own is not set: all alike, so that a draw goes to the preferred one."""
RETURN_SECONDS = 5.0
"""A vendor that came back is shown again after this long without a fault, once it has caught up."""
STANDSTILL_SECONDS = 2.0
"""At the end, once the shown vendor is done: how long the others may neither take audio nor say a word."""
_PLAIN = re.compile(r"[\W_]+", re.UNICODE)

OnWords = Callable[[Sequence[Word], str], None]
OnStatus = Callable[[str, str, str, bool], None]


def eligible(
    vendors: Sequence[LiveTranscriber], language: str, preferred: str = "", order: Sequence[str] = ()
) -> list[LiveTranscriber]:
    """The vendors that hear this language, in order of preference; ``preferred`` goes first, then ``order``."""
    able = [vendor for vendor in vendors if vendor.capabilities.hears(language)]
    place = {name: at for at, name in enumerate(order)}
    return sorted(able, key=lambda vendor: (vendor.name != preferred, place.get(vendor.name, len(place))))


class Supervisor:
    """Words reach ``on_words(words, model_name)`` once each, in session seconds. Not thread-safe."""

    def __init__(
        self,
        vendors: Sequence[LiveTranscriber],
        window: AudioWindow,
        gate: SpeechGate | None,
        *,
        mode: str,
        language: str,
        vocabulary: tuple[str, ...],
        session_id: str,
        breaker: Callable[[str], Breaker],
        on_words: OnWords,
        on_status: OnStatus,
        tuning: Tuning | None = None,
        grace: float = CONNECT_GRACE_SECONDS,
        return_after: float = RETURN_SECONDS,
    ) -> None:
        self.mode = mode
        self.shown_until = 0.0
        self.current: VendorSession | None = None
        self.reasons: dict[str, str] = {}
        self._window = window
        self._on_words = on_words
        self._on_status = on_status
        self._grace = grace
        self._return_after = return_after
        self._taken = 0  # words of the current session that were shown or passed over
        self._last_end = -1.0
        self._last_text = ""
        self._at_seam = False  # the next words are another vendor's first ones
        self._started_at = time.monotonic()
        self._status = ""
        self._shown_names: set[str] = set()
        self.covered: list[tuple[float, float]] = []
        self.sessions = [
            VendorSession(
                vendor,
                LiveRequest(
                    language=vendor.capabilities.spoken(language),
                    diarize=vendor.capabilities.diarization,
                    vocabulary=vendor.capabilities.terms(vocabulary),
                    session_id=session_id,
                ),
                window,
                gate,
                breaker(vendor.name),
                self._changed,
                tuning,
            )
            for vendor in vendors
        ]

    def start(self) -> None:
        self._started_at = time.monotonic()
        if not self.sessions:
            self._say("stt_failed", "", "no vendor hears this language", False)
        for session in self.sessions if self.mode == "parallel" else self.sessions[:1]:
            session.start()

    def wake(self) -> None:
        for session in self.sessions:
            session.wake()

    def tick(self) -> None:
        """Twice a second: what only the clock can decide, and a look at keep-alives and stalls for the sessions."""
        self._choose()
        self.wake()

    @property
    def fed_until(self) -> float:
        """Session seconds up to which the shown vendor was sent the audio; 0 while none is healthy."""
        return self.current.fed_until if self.current is not None and self.current.live else 0.0

    async def finish(self, seconds: float) -> None:
        """The window is closed: wait for the vendors' last words, at most ``seconds``; then stop them all.

        The shown vendor may use all of the time; once it is done the others may go on while they get anywhere.
        """
        self.wake()
        until = time.monotonic() + seconds
        reached: list[tuple[float, int]] = []
        moved = time.monotonic()
        while time.monotonic() < until:
            pending = [session for session in self.sessions if session.running]
            if not pending:
                break
            now = [(session.fed_until + session.done_until, len(session.words)) for session in pending]
            if now != reached:
                reached, moved = now, time.monotonic()
            shown = self.shown_until >= self._window.end / 16_000 - 0.05 and self.current not in pending
            if shown and time.monotonic() - moved > STANDSTILL_SECONDS:
                break
            await asyncio.sleep(0.02)
            self.tick()
        self._drain_best()
        await asyncio.gather(*(session.stop() for session in self.sessions))

    async def stop(self) -> None:
        await asyncio.gather(*(session.stop() for session in self.sessions))

    def transcripts(
        self, scope: str, voices: Mapping[str, Mapping[tuple[float, str], str | None]] | None = None
    ) -> dict[str, list[Segment]]:
        """Each vendor's own transcript, session seconds, under its model name.

        ``voices``: by model who said a word (its start and text), where that was decided here and not by the vendor.
        """
        return {
            session.vendor.model_name: segments_from_words(
                _voiced(session.words, (voices or {}).get(session.vendor.model_name)),
                scope=f"{scope}/{session.vendor.model_name}",
                provider=session.vendor.model_name,
            )
            for session in self.sessions
            if session.words
        }

    def voted(self, accuracy: Mapping[str, float], span: tuple[float, float] | None = None) -> list[Word]:
        """What the vendors' own words agree on (``transcription.consensus``). Takes about 0.1 s of CPU for an hour of
        speech and three vendors: call it in a thread. ``accuracy`` (1 - word error rate) by vendor; ``span``: only the
        words between two moments."""
        heard = [session for session in self.sessions if session.words]
        start, end = span or (float("-inf"), float("inf"))
        return vote(
            {
                session.vendor.model_name: [
                    word for word in list(session.words) if start <= (word.start + word.end) / 2 <= end
                ]
                for session in heard
            },
            weights_from({session.vendor.model_name: accuracy.get(session.name, UNKNOWN) for session in heard}),
            {session.vendor.model_name: session.heard for session in heard},
        )

    def lost(self, *, voted: bool) -> list[tuple[float, float]]:
        """Stretches (session seconds) that a vendor could not be given, because the journal did not hold them any more.
        With a vote, what another vendor heard is not lost."""
        gone = merge([(start, end) for session in self.sessions for start, end, _ in session.lost])
        return subtract(gone, merge([span for session in self.sessions for span in session.heard])) if voted else gone

    def facts(self) -> dict[str, dict[str, Any]]:
        """What each vendor did in this session, for support: connections, failures by code, words, seconds heard."""
        return {
            session.name: {
                "connections": session.connections,
                "failures": dict(session.failures),
                "words": len(session.words),
                "seconds": round(length(session.heard), 2),
                "shown": session.name in self._shown_names,
            }
            for session in self.sessions
            if session.state is not State.IDLE
        }

    def failure(self) -> str:
        """Why audio is not transcribed, for the accounting: the shown vendor's reason, else the first one's."""
        for session in self.sessions:
            if session.error is not None:
                return f"{session.name}:{session.error.code or session.error.kind.value}"
        if not self.sessions:
            return "no_vendor"
        return "vendor_slow"

    # --- whose words are shown --------------------------------------------------------------------------------------

    def _changed(self, session: VendorSession) -> None:
        if session is self.current and (session.live or session.state is State.DONE):
            self._show(session)
        self._choose()

    def _choose(self) -> None:
        if self.mode == "failover":
            self._hand_over()
        best = self._best()
        if best is not None and best is not self.current:
            before, self.current = self.current, best
            self._shown_names.add(best.name)
            self._taken = self._first_unsaid(best)
            self._at_seam = before is not None
            reason = f"fallback_from_{before.name}" if before is not None else ""
            self._say("ready", best.name, reason, False)
            self._show(best)
        elif best is not None and self._status.startswith("stt_failed/"):
            self._say("ready", best.name, "recovered", False)  # the same vendor is back
        elif best is None and self._all_failed():
            session = next((session for session in self.sessions if session.error is not None), None)
            why = session.error if session is not None else None
            retry = any(session.state is not State.OFF for session in self.sessions)
            if why is not None and why.code == NO_ROOM:
                self._say("degraded", why.vendor, NO_ROOM, True)
            else:
                self._say("stt_failed", why.vendor if why else "", why.message if why else "", retry)

    def _best(self) -> VendorSession | None:
        waiting = time.monotonic() - self._started_at < self._grace
        for session in self.sessions:
            if session is self.current and session.state in (State.LIVE, State.DONE):
                return session
            if session.state in (State.LIVE, State.DONE):
                if self.current is None or self.current.state not in (State.LIVE, State.DONE):
                    return session
                back = time.monotonic() - session.live_since >= self._return_after
                if back and session.done_until >= self.shown_until - 0.5:
                    return session
            elif waiting and self.current is None and session.error is None and session.state is not State.IDLE:
                return None  # the preferred one is still connecting
        return None

    def _all_failed(self) -> bool:
        started = [session for session in self.sessions if session.state is not State.IDLE]
        return bool(started) and all(
            session.state in (State.WAITING, State.OFF) and session.error for session in started
        )

    def _hand_over(self) -> None:
        """Failover: where the one that listens has failed, the next in order begins at what it had decided."""
        running = [session for session in self.sessions if session.running]
        if any(session.state in (State.LIVE, State.CONNECTING) for session in running):
            return
        if any(session.state is State.DONE for session in self.sessions):
            return
        fresh = next((session for session in self.sessions if session.state is State.IDLE), None)
        if fresh is None or (self.sessions and all(session.state is State.IDLE for session in self.sessions)):
            return
        fresh.start(self.shown_until)

    def _first_unsaid(self, session: VendorSession) -> int:
        for index, word in enumerate(session.words):
            if self._is_unsaid(word):
                return index
        return len(session.words)

    def _is_unsaid(self, word: Word) -> bool:
        if (word.start + word.end) / 2 <= self._last_end:
            return False
        # Vendors differ by some hundredths about where a word lies: the same word at the seam is the same word.
        return not (word.start < self._last_end + 0.3 and _plain(word.text) == self._last_text)

    def _show(self, session: VendorSession) -> None:
        fresh = session.words[self._taken :]
        self._taken = len(session.words)
        while self._at_seam and fresh and not self._is_unsaid(fresh[0]):
            fresh = fresh[1:]
        self._at_seam = self._at_seam and not fresh
        begin = max(self.shown_until, session.begins_at)
        if session.done_until > begin:
            self._cover(begin, session.done_until)
            self.shown_until = session.done_until
        if fresh:
            latest = max(fresh, key=lambda word: word.end)
            if latest.end > self._last_end:
                self._last_end, self._last_text = latest.end, _plain(latest.text)
            self._on_words(fresh, session.vendor.model_name)

    def _cover(self, start: float, end: float) -> None:
        if self.covered and abs(self.covered[-1][1] - start) < 1e-6:
            self.covered[-1] = (self.covered[-1][0], end)
        else:
            self.covered.append((start, end))

    def _drain_best(self) -> None:
        """At the end: whatever any vendor heard beyond what was shown is shown."""
        ahead = [session for session in self.sessions if session.done_until > self.shown_until or session.words]
        for session in sorted(ahead, key=lambda session: -session.done_until):
            if session is self.current:
                self._show(session)
            elif session.done_until > self.shown_until + 0.5:
                self.current = session
                self._shown_names.add(session.name)
                self._taken = self._first_unsaid(session)
                self._at_seam = True
                self._show(session)

    def _say(self, status: str, provider: str, reason: str, retryable: bool) -> None:
        key = f"{status}/{provider}"
        if key != self._status:
            self._status = key
            self._on_status(status, provider, reason, retryable)


def _voiced(words: Sequence[Word], voices: Mapping[tuple[float, str], str | None] | None) -> Sequence[Word]:
    if not voices:
        return words
    return [
        word.model_copy(update={"speaker": voices.get((word.start, word.text))}) if word.speaker is None else word
        for word in words
    ]


def _plain(text: str) -> str:
    return _PLAIN.sub("", text).casefold()
