"""One client's reading of its user's event log: in order, once each, with or without nudges from other processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import structlog

from transcription.listen.outgoing import Outgoing
from transcription.ports import SessionSink

log = structlog.get_logger(__name__)

AGAIN = 2.0
"""After this long the log is read again whose events a client had no room for."""
NUDGES_AGAIN = 10.0
"""How long nudges are done without where the channel layer fails."""
PAGE = 10
"""Events that are read at once."""


class EventFeed:
    """Sends a user's events to one socket. ``out`` takes each event as JSON text. ``layer`` None: there are no nudges.
    ``memories``: the client asked for the memory of an event that tells of one."""

    def __init__(self, uid: str, sink: SessionSink, layer: Any, out: Outgoing, *, memories: bool = True) -> None:
        self.tasks: list[asyncio.Task[None]] = []
        self.uid = uid
        self.sink = sink
        self.number: int | None = None
        """Of the last event that this client was sent; None while that cannot be known."""
        self.looked_at = time.monotonic()
        self._layer = layer
        self._out = out
        self._memories = memories
        self._channel = ""
        self._lock = asyncio.Lock()
        self._expected_until = 0.0

    async def begin(self, after: int | None) -> None:
        """Send the client the events from the number ``after`` on; None: from now on."""
        self.number = after
        if after is None:
            await self._from_now_on()
        if self._layer is None:
            return
        try:
            self._channel = await self._layer.new_channel()
            await self._layer.group_add(self.sink.events_group(self.uid), self._channel)
        except Exception as error:  # Redis is away: the log is read without nudges
            log.warning("nudges_unavailable", error=type(error).__name__)
        else:
            self.tasks.append(asyncio.create_task(self._nudges(), name="listen-nudges"))

    async def leave(self) -> None:
        if self._channel:
            with contextlib.suppress(Exception):  # Redis is away: the membership ends by itself
                await self._layer.group_discard(self.sink.events_group(self.uid), self._channel)

    def expect(self, seconds: float) -> None:
        """Something is about to be told: look often for this long."""
        self._expected_until = max(self._expected_until, time.monotonic() + seconds)

    @property
    def expects(self) -> bool:
        """Whether an event is about to be told."""
        return time.monotonic() < self._expected_until

    async def _from_now_on(self) -> None:
        try:
            self.number = (await self.sink.latest_events({self.uid})).get(self.uid, 0)
        except Exception as error:  # whatever the store is: without events the audio is still worth taking
            log.warning("events_unavailable", error=type(error).__name__)

    async def look(self) -> None:
        """Send what the log holds after the last number that this client was sent."""
        self.looked_at = time.monotonic()
        async with self._lock:
            if self.number is None:  # the store was down when the client came: not its whole history now
                await self._from_now_on()
                return
            try:
                # A few at a time, and none while the client leaves those before unread: a memory may be large, and
                # what waits here is held in memory.
                while self._out.easy and (found := await self._events(self.number)):
                    for event in found:
                        self.number = max(self.number, int(event["event_number"]))
                        self._out.put(json.dumps(event, default=str))
                if not self._out.easy:
                    self.expect(AGAIN)
            except Exception as error:  # as above: tried again at the next look
                log.warning("events_unavailable", error=type(error).__name__)

    async def _events(self, number: int) -> list[dict[str, Any]]:
        return await self.sink.events_after(self.uid, number, PAGE, memories=self._memories)

    async def _nudges(self) -> None:
        """The channel layer says that this user's event log has grown."""
        while True:
            try:
                await self._layer.receive(self._channel)
            except Exception as error:  # Redis is away (redis-py's errors are no OSError): the log is read without it
                log.warning("nudges_unavailable", error=type(error).__name__)
                await asyncio.sleep(NUDGES_AGAIN)
            await self.look()
