"""The ``/listen`` socket: frames in, JSON out. Thin: what is done with the audio is in ``transcription.session``.

The protocol of September 2024 stays as that app knows it; what was added is opt-in or ignored by it (docs/listen.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from channels.consumer import AsyncConsumer
from channels.layers import get_channel_layer
from django.conf import settings

from transcription import drain, entrance
from transcription.daphne_socket import DIRECT, Direct
from transcription.event_feed import EventFeed
from transcription.pace import Pace
from transcription.ports import VoiceLabel
from transcription.request import BadRequest, ListenRequest, parse, parse_command
from transcription.session import FINISH_SECONDS, Session
from transcription.surroundings import Output, Plan, Surroundings, surroundings

if TYPE_CHECKING:
    from transcription.live.builder import Delta
    from transcription.segments import Segment

log = structlog.get_logger(__name__)

AUTH_SECONDS = 5.0
PING_SECONDS = 30.0
IDLE_SECONDS = 300.0
"""A client that sends nothing at all for this long is gone (half-open connections die sooner by the server's pings)."""
BATCH_SECONDS = 0.04
"""Audio is handed on in batches of at least this much..."""
BATCH_WAIT = 0.03
"""...or after this long, whichever comes first."""
MAX_FRAME = 256 * 1024
DRAIN_SECONDS = 3.0

# RFC 6455 7.4: the app reconnects after any of them but 1000.
GOING_AWAY, POLICY, TOO_BIG, SERVICE_RESTART, TRY_LATER = 1001, 1008, 1009, 1012, 1013
_KEEP_ALIVE = b"\x8a\x00"


class ListenConsumer(AsyncConsumer):  # type: ignore[misc]  # channels has no types
    """One socket. ``around`` replaces what settings bind, for tests."""

    web = False
    around: Callable[[], Surroundings] = staticmethod(surroundings)

    def __init__(self, **_: Any) -> None:
        self.uid = ""
        self.session: Session | None = None
        self.last_message = time.monotonic()
        self._request: ListenRequest | None = None
        self._vocabulary: tuple[str, ...] = ()
        self._surroundings: Surroundings | None = None
        self._batch: list[bytes] = []
        self._batch_seconds = 0.0
        self._batch_at = 0.0  # wall clock of its first frame
        self._batch_timer: asyncio.TimerHandle | None = None
        self._pace = Pace(settings.OMI_MAX_SPEED)
        self._outbox: deque[str] = deque()
        self._outgoing = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._auth_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._feed: EventFeed | None = None
        self._handling, self._talking = False, False  # a message from the queue; words of this session were shown
        self._direct = Direct(self.take)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Channels makes two tasks and a hop to a thread for every message; audio frames touch no database here, and one
        # core carries several times as many without. The channel layer has a task of its own.
        self.scope, self.base_send = scope, send
        self.channel_layer = get_channel_layer()
        try:
            while True:
                self._handling = False
                message = await receive()
                self._handling = True
                if message["type"] == "websocket.receive":
                    data = message.get("bytes")
                    if data is not None:
                        await self._audio(data)
                    else:
                        await self._text(message.get("text") or "")
                elif message["type"] == "websocket.connect":
                    await self.websocket_connect(message)
                elif message["type"] == "omi.failed":
                    raise message["error"]
                else:
                    return
        finally:
            await self._gone("disconnect")

    # --- opening ----------------------------------------------------------------------------------------------------

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        drain.install()
        await self.send({"type": "websocket.accept", DIRECT: self._direct})
        if self._direct.write is None:
            self._tasks.append(asyncio.create_task(self._write(), name="listen-writer"))
        if drain.draining():
            await self._close(SERVICE_RESTART, "the server is restarting")
            return
        try:
            self._request = parse(self.scope.get("query_string", b""), web=self.web)
        except BadRequest as error:
            await self._refuse(POLICY, "bad_request", str(error))
            return
        token = entrance.bearer(self.scope.get("headers", ()))
        if token is not None:
            await self._authenticate(token)
            return
        loop = asyncio.get_running_loop()
        self._auth_timer = loop.call_later(AUTH_SECONDS, lambda: self._spawn(self._unauthenticated()))

    async def _authenticate(self, token: str, *, answer: bool = False) -> None:
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        try:
            visitor = await entrance.admit(token)
        except entrance.Refused as refused:
            if answer:
                self._tell({"type": "auth_response", "success": False})
            await self._refuse(TRY_LATER if refused.later else POLICY, refused.reason, str(refused))
            return
        if not entrance.take_seat(visitor.uid, self):
            await self._refuse(POLICY, "too_many_sockets", "This user has too many open connections.")
            return
        if answer:
            self._tell({"type": "auth_response", "success": True})
        self.uid, self._vocabulary = visitor.uid, visitor.vocabulary
        await self._begin()

    async def _unauthenticated(self) -> None:
        if not self.uid and not self._closed:
            self._tell({"type": "auth_response", "success": False})
            await self._refuse(POLICY, "unauthenticated", "A token is required.")

    async def _begin(self) -> None:
        assert self._request is not None
        self._surroundings = self.around()
        drain.register(self)
        self._feed = EventFeed(self.uid, self._surroundings.sink, self.channel_layer, self._put)
        await self._feed.begin(self._request.after)
        self._tasks += self._feed.tasks
        self._status({"status": "ready", "provider": "", "reason": "", "status_text": "Listening."})
        self._tasks.append(asyncio.create_task(self._beat(), name="listen-heartbeat"))
        if self._request.after is not None:
            await self._feed.look()

    # --- audio ------------------------------------------------------------------------------------------------------

    def take(self, data: bytes) -> float | None:
        """An audio frame past the message queue and this consumer's task, which would cost as much again as the work.
        Seconds for which nothing more shall be read; None: it must come as a message."""
        if self._handling or self._closed or self.session is None or len(data) > MAX_FRAME:
            return None
        return self._accept(data)

    async def _audio(self, data: bytes) -> None:
        self.last_message = time.monotonic()
        if self._closed:
            return
        if not self.uid:
            await self._unauthenticated()
            return
        if len(data) > MAX_FRAME:
            await self._refuse(TOO_BIG, "frame_too_big", f"A frame may have {MAX_FRAME} bytes at most.")
            return
        wait = self._accept(data)
        if wait:
            await asyncio.sleep(wait)

    def _accept(self, data: bytes) -> float:
        """Seconds to wait before more is taken."""
        request = self._request
        assert request is not None
        self.last_message = time.monotonic()
        if not data or (data == _KEEP_ALIVE and (request.codec.packets or self.web)):
            return 0.0
        seconds = request.codec.seconds(len(data))
        if not self._batch and self.session is None:
            self._batch_at = time.time()
        self._batch.append(data)
        self._batch_seconds += seconds
        if self._batch_seconds >= BATCH_SECONDS:
            self._flush()
        elif self._batch_timer is None:
            self._batch_timer = asyncio.get_running_loop().call_later(BATCH_WAIT, self._flush)
        wait = self._pace.take(seconds, self.last_message)
        return self._slowed(wait) if wait or self._pace.frames % 512 == 0 else 0.0

    def _slowed(self, wait: float) -> float:
        """Back-pressure: take nothing for a moment; say so once. A flood of tiny frames is no audio."""
        if self._pace.abusive:
            self._spawn(self._refuse(POLICY, "too_fast", "Audio comes faster than it can be taken."))
            return 1.0
        if wait and self._pace.tell_once():
            text = f"Audio is taken at {settings.OMI_MAX_SPEED:g} times real time at most."
            self._status({"status": "slowed", "reason": "too_fast", "status_text": text})
        return wait

    def _flush(self) -> None:
        if self._batch_timer is not None:
            self._batch_timer.cancel()
            self._batch_timer = None
        if not self._batch:
            return
        frames, self._batch, self._batch_seconds = self._batch, [], 0.0
        if self.session is None:
            self.session = self._new_session()
        self.session.feed(frames)
        if self.session.over:
            self._end_session("gap")

    def _new_session(self) -> Session:
        assert self._request is not None and self._surroundings is not None  # noqa: PT018
        # A socket's first frames wait while the token is checked: their time is when they came.
        first, self._direct.first_at = self._direct.first_at or self._batch_at, float("inf")
        plan = Plan(
            uid=self.uid,
            codec=self._request.codec,
            language=self._request.language,
            watch=self._request.watch,
            device_id=self._request.device_id,
            preferred=self._request.preferred,
            vocabulary=self._vocabulary,
            profile=self._request.profile,
            began_at=datetime.fromtimestamp(min(first, self._batch_at), UTC),
        )
        session = Session(plan, self._surroundings, Output(self._segments, self._updated, self._status))
        session.start()
        return session

    def _end_session(self, reason: str, *, keep: bool = False, wait: float = FINISH_SECONDS) -> Awaitable[None] | None:
        session, self.session = self.session, None
        self._talking = False
        if self._feed is not None:
            self._feed.expect(600.0)
        return session.finish(reason, keep=keep, wait=wait) if session is not None else None

    # --- text -------------------------------------------------------------------------------------------------------

    async def _text(self, text: str) -> None:
        self.last_message = time.monotonic()
        if self._closed:
            return
        command = parse_command(text)
        if command is None:
            self._status({"status": "ignored", "reason": "bad_message", "status_text": "Text must be a JSON command."})
            return
        kind = command.get("type")
        if not self.uid:
            if kind == "auth" and isinstance(command.get("token"), str):
                await self._authenticate(command["token"], answer=True)
            else:
                await self._unauthenticated()
        elif kind == "ping":
            self._tell({"type": "pong"})
        elif kind == "finish":
            self._flush()
            had = self.session is not None
            self._end_session("finish", keep=True)
            self._status({"status": "finishing" if had else "ignored", "reason": "" if had else "nothing_to_finish"})
        elif kind == "speaker_assigned":
            self._assign(command)
        elif kind not in ("auth", "pong"):
            self._status({"status": "ignored", "reason": "unknown_command"})

    def _assign(self, command: dict[str, Any]) -> None:
        ids, person = command.get("segment_ids"), command.get("person_id")
        if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids) or not isinstance(person, str):
            self._status({"status": "ignored", "reason": "bad_message"})
            return
        voice = VoiceLabel(is_user=True, score=1.0) if person == "user" else VoiceLabel(person_id=person, score=1.0)
        if self.session is None or not self.session.assign(ids[:1000], voice):
            self._status({"status": "ignored", "reason": "unknown_segments"})

    # --- what goes out ----------------------------------------------------------------------------------------------

    def _segments(self, deltas: Sequence[Delta]) -> None:
        if not deltas:
            return
        assert self._request is not None
        if self._feed is not None and not self._talking:
            self._talking = True
            self._feed.expect(6.0)  # the first words lead to an event (the processing memory's)
        if self._request.updates:
            self._put(json.dumps([delta.segment.model_dump() for delta in deltas]))
        else:
            self._put(json.dumps([delta.as_message() for delta in deltas]))

    def _updated(self, segments: Sequence[Segment]) -> None:
        assert self._request is not None
        if self._request.updates and segments:
            self._put(json.dumps([segment.model_dump() for segment in segments]))

    def _status(self, fields: dict[str, Any]) -> None:
        self._tell({"type": "service_status", **fields})

    def _tell(self, event: dict[str, Any]) -> None:
        self._put(json.dumps({"event_type": event["type"], **event}))

    def _put(self, text: str) -> None:
        if self._closed or (self._direct.write is not None and self._direct.write(text)):
            return
        self._outbox.append(text)
        self._outgoing.set()

    async def _write(self) -> None:
        while True:
            await self._outgoing.wait()
            self._outgoing.clear()
            while self._outbox:
                await self.send({"type": "websocket.send", "text": self._outbox.popleft()})

    # --- once a second ----------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        pinged = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            if self.session is not None and self.session.over:
                self._flush()
                self._end_session("gap")
            if now - pinged >= PING_SECONDS:
                pinged = now
                self._tell({"type": "ping"})
            if self._feed is not None:
                await self._feed.look_when_due()
            if now - self.last_message >= IDLE_SECONDS:
                await self._close(GOING_AWAY, "nothing was received for a while")
                return

    # --- the end ----------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """The process is asked to stop: nothing more is taken, what came is kept, the client is told to come back."""
        self._flush()
        ending = self._end_session("drain", wait=DRAIN_SECONDS)
        if ending is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS * 2):
                    await asyncio.shield(asyncio.ensure_future(ending))
        await self._close(SERVICE_RESTART, "the server is restarting")

    async def _refuse(self, code: int, reason: str, sentence: str) -> None:
        self._status({"status": "refused", "reason": reason, "status_text": sentence})
        await self._close(code, sentence)

    async def _close(self, code: int, reason: str) -> None:
        if self._closed:
            return
        while self._outbox:
            await self.send({"type": "websocket.send", "text": self._outbox.popleft()})
        self._closed = True
        await self.send({"type": "websocket.close", "code": code, "reason": reason[:120]})
        await self._gone("closed")

    async def _gone(self, reason: str) -> None:
        """Idempotent. The session's own ending goes on in its task: daphne grants a consumer ten seconds."""
        self._flush()
        self._closed = True
        self._end_session(reason)
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            if task is not asyncio.current_task():
                task.cancel()
        if self.uid:
            entrance.leave_seat(self.uid, self)
            drain.unregister(self)
            if self._feed is not None:
                await self._feed.leave()

    async def evict(self) -> None:
        """Another connection of the same user needs this seat, and nothing has been heard from this one."""
        await self._close(GOING_AWAY, "another connection took over")

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.ensure_future(work))


class WebListenConsumer(ListenConsumer):
    """``/v4/web/listen``: the browser's path; segments are whole and replace those with the same id."""

    web = True
