"""The ``/listen`` socket: frames in, JSON out. Thin: what is done with the audio is in ``session``, its way there in
``intake``, what goes out in ``outgoing``, who may come in and stay in ``authentication`` and ``token_renewal``.

The protocol of September 2024 stays as that app knows it; what was added is opt-in or ignored by it: docs/listen.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from channels.consumer import AsyncConsumer
from channels.layers import get_channel_layer

from omi.core import open_files
from transcription.listen import authentication, connection_limits, drain, ended_users, event_watch
from transcription.listen.commands import parse_assignment, parse_command, why_ignored
from transcription.listen.daphne_socket import DIRECT, Direct
from transcription.listen.event_feed import EventFeed
from transcription.listen.intake import Intake
from transcription.listen.outgoing import Outgoing
from transcription.listen.pace import TextPace
from transcription.listen.request import BadRequest, ListenRequest, parse
from transcription.listen.token_renewal import SignIn
from transcription.metrics import ADMITTED, socket_refused
from transcription.segments import Segment
from transcription.session.dependencies import Callbacks, Dependencies, Plan, from_settings
from transcription.session.segment_builder import Delta
from transcription.session.session import Session

AUTH_SECONDS, PING_SECONDS, DRAIN_SECONDS = 5.0, 30.0, 3.0
ANSWER_SECONDS = 3.0
"""How long a client may take to answer that the server restarts; what it sends until then is kept."""
IDLE_SECONDS = 300.0
"""A client that sends nothing at all for this long is gone (half-open connections die sooner by the server's pings)."""

# RFC 6455 7.4: the app reconnects after any of them but 1000.
GOING_AWAY, POLICY, TOO_BIG, SERVICE_RESTART, TRY_LATER = 1001, 1008, 1009, 1012, 1013


class ListenConsumer(AsyncConsumer):  # type: ignore[misc]  # channels has no types
    """One socket. ``dependencies`` replaces what settings bind, for tests."""

    web = False
    dependencies: Callable[[], Dependencies] = staticmethod(from_settings)

    def __init__(self, **_: Any) -> None:
        self.uid = ""
        self.intake: Intake | None = None
        self.sign_in: SignIn | None = None
        self.last_message = time.monotonic()
        self._request: ListenRequest | None = None
        self._dependencies: Dependencies | None = None
        self._text_pace = TextPace()
        self._tasks: set[asyncio.Task[None]] = set()
        self._auth_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._left = asyncio.Event()
        self._feed: EventFeed | None = None
        self._handling, self._talking = False, False  # a message from the queue; words of this session were shown
        self._direct = Direct(self.take)
        self._out = Outgoing(
            self._direct,
            lambda message: self.send(message),
            lambda: self._spawn(self._close(POLICY, "too much was left unread")),
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Channels makes two tasks and a hop to a thread for every message; audio frames touch no database here, and one
        # core carries several times as many without. So frames are read here; the channel layer has a task of its own.
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
            self._spawn(self._out.run())
        if drain.draining():
            await self._close(SERVICE_RESTART, "the server is restarting")
            return
        drain.register(self)
        if open_files.scarce():
            await self._refuse(TRY_LATER, "server_full", "The server has too many open connections; try again.")
            return
        try:
            self._request = parse(self.scope.get("query_string", b""), web=self.web)
        except BadRequest as error:
            await self._refuse(POLICY, "bad_request", str(error))
            return
        token = authentication.bearer(self.scope.get("headers", ()))
        if token is not None:
            await self._authenticate(token)
            return
        loop = asyncio.get_running_loop()
        self._auth_timer = loop.call_later(AUTH_SECONDS, lambda: self._spawn(self._unauthenticated()))

    async def _authenticate(self, token: str, *, answer: bool = False) -> None:
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        try:
            visitor = await authentication.admit(token)
            connection_limits.take_slot(visitor.uid, self)
        except authentication.Refused as refused:
            if answer:
                self._tell({"type": "auth_response", "success": False})
            await self._refuse(TRY_LATER if refused.later else POLICY, refused.reason, str(refused))
            return
        if answer:
            self._tell({"type": "auth_response", "success": True})
        self.uid, self.sign_in = visitor.uid, SignIn(visitor)
        if drain.draining() or self._closed:  # meanwhile
            await self._close(SERVICE_RESTART, "the server is restarting")
            connection_limits.leave_slot(self.uid, self)
            return
        await self._begin()

    async def _unauthenticated(self) -> None:
        if not self.uid and not self._closed:
            self._tell({"type": "auth_response", "success": False})
            await self._refuse(POLICY, "unauthenticated", "A token is required.")

    async def _begin(self) -> None:
        assert self._request is not None
        ADMITTED.inc()
        self._dependencies = self.dependencies()
        ended_users.watch()
        self.intake = Intake(
            self.uid, self._request, self._direct, self._new_session, self._status, self._part, web=self.web
        )
        self._feed = EventFeed(
            self.uid, self._dependencies.sink, self.channel_layer, self._out, memories=self._request.watch
        )
        await self._feed.begin(self._request.after)
        self._tasks.update(self._feed.tasks)
        event_watch.add(self._feed)
        self._status({"status": "ready", "provider": "", "reason": "", "status_text": "Listening."})
        self._spawn(self._beat())
        if self._request.after is not None:
            await self._feed.look()

    # --- audio ------------------------------------------------------------------------------------------------------

    def take(self, data: bytes) -> float | None:
        """An audio frame without the detour of the message queue and this consumer's task, which would cost as much
        again as the work. Seconds for which nothing more shall be read; None: it must come as a message."""
        intake = self.intake
        if self._handling or self._closed or intake is None or intake.session is None or len(data) > intake.max_frame:
            return None
        self.last_message = now = time.monotonic()
        return intake.accept(data, now)

    async def _audio(self, data: bytes) -> None:
        self.last_message = now = time.monotonic()
        if self._closed:
            return
        if self.intake is None:
            await self._unauthenticated()
            return
        if len(data) > self.intake.max_frame:
            text = f"A frame of this codec may have {self.intake.max_frame} bytes at most."
            await self._refuse(TOO_BIG, "frame_too_big", text)
            return
        wait = self.intake.accept(data, now)
        if wait:
            await asyncio.sleep(wait)
        if self.intake.held and self._direct.write is None:  # daphne reads nothing meanwhile
            await self.intake.room_or_a_second()

    def _new_session(self) -> Session:
        assert self._request is not None
        assert self._dependencies is not None
        assert self.sign_in is not None
        assert self.intake is not None
        plan = Plan(
            uid=self.uid,
            codec=self._request.codec,
            language=self._request.language,
            watch=self._request.watch,
            device_id=self._request.device_id,
            preferred=self._request.preferred,
            **self.sign_in.heard_with,
            profile=self._request.profile,
            signed_in=self.sign_in.issued_at,
            began_at=self.intake.first_audio(),
        )
        session = Session(plan, self._dependencies, Callbacks(self._segments, self._updated, self._status))
        session.start()
        return session

    def _end_session(self, reason: str, **how: Any) -> asyncio.Task[None] | None:
        self._talking = False
        if self._feed is not None:
            self._feed.expect(600.0)
        return self.intake.end(reason, **how) if self.intake is not None else None

    # --- text -------------------------------------------------------------------------------------------------------

    async def _text(self, text: str) -> None:
        self.last_message = now = time.monotonic()
        if self._closed:
            return
        if wait := self._text_pace.take(len(text), now):
            await asyncio.sleep(wait)
        command = parse_command(text)
        if command is None:
            self._status({"status": "ignored", "reason": "bad_message", "status_text": "Text must be a JSON command."})
            return
        kind = command.get("type")
        if self.intake is None:
            given = command.get("token") if kind == "auth" else None
            await (self._authenticate(given, answer=True) if isinstance(given, str) else self._unauthenticated())
        elif kind == "ping":
            self._tell({"type": "pong"})
        elif kind == "finish":
            self.intake.flush()
            had = self.intake.session is not None
            self._end_session("finish", keep=True)
            self._status({"status": "finishing" if had else "ignored", "reason": "" if had else "nothing_to_finish"})
        elif kind == "speaker_assigned":
            await self._assign(command)
        elif kind == "auth":
            await self._renew(command.get("token"))
        elif kind != "pong":
            self._status({"status": "ignored", "reason": "unknown_command"})

    async def _assign(self, command: dict[str, Any]) -> None:
        assert self.intake is not None
        assert self._dependencies is not None
        given = parse_assignment(command)
        reason = await why_ignored(given, self.uid, self._dependencies.sink) if given is not None else "bad_message"
        if given is not None and not reason:
            session = self.intake.session
            assigned = session is not None and session.assign(given.segment_ids, given.voice)
            reason = "" if assigned else "unknown_segments"
        if reason:
            self._status({"status": "ignored", "reason": reason})

    async def _renew(self, token: object) -> None:
        """A fresh token on an open socket: it may stay for as long as that one holds. A bad one changes nothing."""
        assert self.sign_in is not None
        success = isinstance(token, str) and await self.sign_in.renew(token)
        self._tell({"type": "auth_response", "success": success})

    # --- what goes out ----------------------------------------------------------------------------------------------

    def _segments(self, deltas: Sequence[Delta]) -> None:
        if not deltas:
            return
        assert self._request is not None
        if self._feed is not None and not self._talking:
            self._talking = True
            self._feed.expect(6.0)  # the first words lead to an event (the processing memory's)
        whole = self._request.updates
        self._out.put(json.dumps([delta.segment.model_dump() if whole else delta.as_message() for delta in deltas]))

    def _updated(self, segments: Sequence[Segment]) -> None:
        assert self._request is not None
        if self._request.updates and segments:
            self._out.put(json.dumps([segment.model_dump() for segment in segments]))

    def _status(self, fields: dict[str, Any]) -> None:
        self._tell({"type": "service_status", **fields})

    def _tell(self, event: dict[str, Any]) -> None:
        self._out.put(json.dumps({"event_type": event["type"], **event}))

    # --- once a second ----------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        assert self.intake is not None
        assert self.sign_in is not None
        pinged = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            if self.intake.session is not None and self.intake.session.over:
                self.intake.flush()
                self._end_session("gap")
            if now - pinged >= PING_SECONDS:
                pinged = now
                self._tell({"type": "ping"})
            try:
                if self.sign_in.warns():
                    text = "The token expires; send a fresh one as {type: auth}, or the socket is closed."
                    self._status({"status": "token_expires", "reason": "", "status_text": text})
                await self.sign_in.look()
                connection_limits.require_audio_left(self.uid)
            except authentication.Refused as refused:
                await self._refuse(TRY_LATER if refused.later else POLICY, refused.reason, str(refused))
                return
            if now - self.last_message >= IDLE_SECONDS and not self.intake.held:
                await self._close(GOING_AWAY, "nothing was received for a while")
                return

    # --- the end ----------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """The process is asked to stop: the client is told to come back, and what it sent until it knew is kept."""
        if not self._closed:
            self._direct.to_the_end = True
            await self._part_with(SERVICE_RESTART, "the server is restarting")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._left.wait(), ANSWER_SECONDS)
        if self.intake is not None:
            self.intake.close()
        ending = self._end_session("drain", wait=DRAIN_SECONDS)
        if ending is not None:
            await asyncio.wait([ending], timeout=DRAIN_SECONDS * 2)
        await self._gone("drain")

    @property
    def signed_in_at(self) -> float | None:
        """When the user signed in (Unix seconds); None while the user is not known."""
        return self.sign_in.issued_at if self.sign_in is not None else None

    async def end_sign_in(self, sentence: str, *, keep: bool) -> None:
        """The user's sign-in was ended; ``keep`` is false where the account was erased."""
        if not keep and self.intake is not None:
            self.intake.session = None  # whoever erased discards it
            self.intake.close()
        await self._refuse(POLICY, "unauthenticated", sentence)

    def _part(self, reason: str, sentence: str) -> None:
        self._spawn(self._refuse(POLICY, reason, sentence))

    async def _refuse(self, code: int, reason: str, sentence: str) -> None:
        if not self._closed:
            socket_refused(reason)
        self._status({"status": "refused", "reason": reason, "status_text": sentence})
        await self._close(code, sentence)

    async def _close(self, code: int, reason: str) -> None:
        if not self._closed and not self._direct.to_the_end:
            self._closed = True
            await self._part_with(code, reason)
            await self._gone("closed")

    async def _part_with(self, code: int, reason: str) -> None:
        await self._out.flush()
        self._out.closed = True
        await self.send({"type": "websocket.close", "code": code, "reason": reason[:120]})

    async def _gone(self, reason: str) -> None:
        """Idempotent. The session's own ending goes on in its task: daphne grants a consumer ten seconds."""
        self._left.set()
        if self._direct.to_the_end and reason != "drain":
            return  # ``drain`` ends it
        self._closed = self._out.closed = True
        if self.intake is not None:
            self.intake.close()
        self._end_session(reason)
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            if task is not asyncio.current_task():
                task.cancel()
        drain.unregister(self)
        if self.uid:
            connection_limits.leave_slot(self.uid, self)
            if self._feed is not None:
                event_watch.remove(self._feed)
                await self._feed.leave()

    def give_way(self) -> None:
        """Another connection of the same user needs this slot; nothing was heard from this one."""
        self._spawn(self._close(GOING_AWAY, "another connection took over"))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
