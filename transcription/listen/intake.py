"""The audio of one socket on its way into sessions: paced, and handed on in batches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from django.conf import settings

from omi.core import clock
from transcription.listen import capacity, drain
from transcription.listen.daphne_socket import Direct
from transcription.listen.pace import Pace
from transcription.listen.request import ListenRequest
from transcription.metrics import DROPPED
from transcription.session.session import FINISH_SECONDS, Session

log = structlog.get_logger(__name__)

BATCH_SECONDS = 0.04
"""Audio is handed on in batches of at least this much..."""
BATCH_WAIT = 0.03
"""...or after this long, whichever comes first."""
ROOM_SECONDS = 0.25
"""How often a socket that waits for room looks whether a session has ended."""
_KEEP_ALIVE = b"\x8a\x00"


class Intake:
    """Takes the frames and commands of one socket. ``begin`` makes a session; ``status`` tells the client; ``part``
    closes the socket (reason, sentence)."""

    def __init__(
        self,
        uid: str,
        request: ListenRequest,
        direct: Direct,
        begin: Callable[[], Session],
        status: Callable[[dict[str, Any]], None],
        part: Callable[[str, str], None],
        *,
        web: bool,
    ) -> None:
        self.session: Session | None = None
        self.max_frame = request.codec.max_frame
        self._uid = uid
        self._ticks = request.codec.ticks
        self._seconds_per_tick = 1.0 / request.codec.ticks_per_second
        self._keep_alives = request.codec.packets or web
        self._direct = direct
        self._begin = begin
        self._status = status
        self._part = part
        self._pace = Pace(settings.OMI_MAX_SPEED)
        self._batch: list[bytes] = []
        self._batch_seconds = 0.0
        self._batch_at = 0.0  # wall clock of the first frame that waits for a session
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._room = asyncio.Event()
        self._room.set()

    @property
    def held(self) -> bool:
        """Whether audio waits for an earlier session to end: nothing more is read meanwhile."""
        return self._direct.held

    async def room_or_a_second(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._room.wait()

    def accept(self, data: bytes, now: float) -> float:
        """Seconds to wait before more is taken."""
        if not data or (data == _KEEP_ALIVE and self._keep_alives):
            self._pace.nothing()
            return self._slowed(0.0) if self._pace.frames % 512 == 0 else 0.0
        if self._closed:
            return 0.0
        seconds = self._ticks(data) * self._seconds_per_tick
        if not self._batch and self.session is None:
            self._batch_at = clock.time()
        self._batch.append(data)
        self._batch_seconds += seconds
        if self._batch_seconds >= BATCH_SECONDS:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BATCH_WAIT, self.flush)
        wait = self._pace.take(seconds, now)
        return self._slowed(wait) if wait or self._pace.frames % 512 == 0 else 0.0

    def _slowed(self, wait: float) -> float:
        """Back-pressure: take nothing for a moment, so that the server stops reading; say so once. A flood of tiny
        frames is no audio: that client is parted with."""
        if self._pace.abusive:
            self._part("too_fast", "Audio comes faster than it can be taken.")
            return 1.0
        if wait and self._pace.tell_once():
            text = f"Audio is taken at {settings.OMI_MAX_SPEED:g} times real time at most."
            self._status({"status": "slowed", "reason": "too_fast", "status_text": text})
        return wait

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._batch or (self.session is None and not self._opened()):
            return
        assert self.session is not None
        frames, self._batch, self._batch_seconds = self._batch, [], 0.0
        self.session.feed(frames)
        if self.session.over:
            self.end("gap")

    def _opened(self) -> bool:
        """Begin a session where there is room. A process that is stopping begins none: its clients are sent away."""
        if drain.draining():
            self._give_up("draining")
            return False
        if not capacity.has_room(self._uid):
            if not self._direct.held:
                self._hold(True)
                text = "Earlier conversations are still being ended; audio is taken again as soon as one of them is."
                self._status({"status": "waiting", "reason": "too_many_sessions", "status_text": text})
            self._timer = asyncio.get_running_loop().call_later(ROOM_SECONDS, self.flush)
            return False
        if self._direct.held:
            self._hold(False)
            self._status({"status": "ready", "provider": "", "reason": "room", "status_text": "Listening."})
        self.session = self._begin()
        capacity.enter(self._uid, self.session)
        return True

    def first_audio(self) -> datetime:
        """When the first frame of the session that begins now came. A socket's first frames wait while the token is
        checked: the server noted their time (``Direct.first_at``)."""
        first, self._direct.first_at = self._direct.first_at or self._batch_at, float("inf")
        return datetime.fromtimestamp(min(first, self._batch_at), UTC)

    def end(self, reason: str, *, keep: bool = False, wait: float = FINISH_SECONDS) -> asyncio.Task[None] | None:
        session, self.session = self.session, None
        if session is None:
            return None
        task = session.finish(reason, keep=keep, wait=wait)
        task.add_done_callback(lambda _: capacity.leave(self._uid, session))
        return task

    def close(self) -> None:
        """Hand on what came, and take nothing more."""
        if not self._closed:
            self.flush()
            self._closed = True
            self._give_up("no_room")
            self._hold(False)

    def _hold(self, held: bool) -> None:
        self._direct.held = held
        (self._room.clear if held else self._room.set)()

    def _give_up(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._batch:
            DROPPED.labels(reason).inc(self._batch_seconds)
            log.warning("audio_not_taken", reason=reason, seconds=round(self._batch_seconds, 2))
        self._batch, self._batch_seconds = [], 0.0
