"""``GET /v1/events``: the user's event log as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse

from memories.api.errors import ApiError, invalid, refusal
from memories.user_events import log as events
from memories.user_events import watch
from omi.accounts.authentication import bearer_of

log = structlog.get_logger(__name__)

PAGE = 10
"""Events that are read at once: each may hold a memory, and a client that reads slowly holds them in memory."""
PING_EVERY = 15.0
LONGEST = 3600.0
"""Seconds after which a stream ends, with its token at the latest; the client comes back with ``Last-Event-ID`` and a
token that still holds."""


async def event_stream(request: HttpRequest) -> HttpResponseBase:
    """Events after ``Last-Event-ID`` (or ``?after=N``), then new ones as they come; without either only new ones."""
    try:
        if request.method != "GET":
            raise ApiError(405, "Method Not Allowed", headers={"Allow": "GET"})
        principal = await sync_to_async(bearer_of)(request)
        asked = request.headers.get("Last-Event-ID") or request.GET.get("after") or ""
        if asked and not (asked.isascii() and asked.isdigit() and len(asked) < 19):
            raise invalid(("query", "after"), "Input should be a number", "int_parsing")
        stream = watch.enter(principal.uid, principal.issued_at)
    except Exception as error:
        return refusal(error)
    try:
        after = int(asked) if asked else await database_sync_to_async(events.latest)(principal.uid)
        longest = min(LONGEST, principal.expires_at - time.time())
        frames = Frames(
            stream, after, longest=longest, memories=request.GET.get("memory", "true").lower() not in ("false", "0")
        )
    except BaseException:
        watch.leave(stream)
        raise
    return StreamingHttpResponse(
        frames,
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


class Frames:
    """The frames of one stream. An object, not a generator: one that was never begun is closed, too, when its answer
    is, and its place among the streams is free again."""

    def __init__(self, stream: watch.Stream, after: int, **how: Any) -> None:
        self._stream = stream
        self._frames = follow(stream.uid, after, stream, **how)

    def __aiter__(self) -> Frames:
        return self

    async def __anext__(self) -> str:
        try:
            return await anext(self._frames)
        except BaseException:
            watch.leave(self._stream)
            raise

    def close(self) -> None:
        """Django calls it at the end of the answer, whatever that was."""
        watch.leave(self._stream)

    def __del__(self) -> None:
        watch.leave(self._stream)


async def follow(
    uid: str,
    after: int,
    stream: watch.Stream | None = None,
    *,
    longest: float = LONGEST,
    memories: bool = True,
) -> AsyncIterator[str]:
    """Frames of ``id``, ``event`` and ``data``; a comment every ``PING_EVERY`` seconds keeps proxies awake."""
    mine = stream or watch.enter(uid)
    layer = get_channel_layer()
    channel: str | None = None
    if layer is not None:
        try:
            channel = await layer.new_channel()
            await layer.group_add(events.group(uid), channel)
        except Exception as error:  # Redis is away: the log is read without nudges
            log.warning("nudges_unavailable", error=type(error).__name__)
            channel = None
    nudges = None if layer is None or channel is None else asyncio.create_task(_nudges(layer, channel, mine))
    began = last_sent = time.monotonic()
    try:
        yield ": connected\n\n"
        while time.monotonic() - began < longest and not mine.ended:
            mine.grown.clear()
            while found := await database_sync_to_async(events.after)(uid, after, PAGE, memories=memories):
                for event in found:
                    after = int(event["event_number"])
                    last_sent = time.monotonic()
                    yield f"id: {after}\nevent: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
            if time.monotonic() - last_sent >= PING_EVERY:
                last_sent = time.monotonic()
                yield ": ping\n\n"
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(PING_EVERY, max(0.01, began + longest - time.monotonic()))):
                    await mine.grown.wait()
    finally:
        watch.leave(mine)
        if nudges is not None:
            nudges.cancel()
        if layer is not None and channel is not None:
            with contextlib.suppress(Exception):  # Redis is away: the membership ends by itself
                await layer.group_discard(events.group(uid), channel)


async def _nudges(layer: Any, channel: str, stream: watch.Stream) -> None:
    while True:
        try:
            await layer.receive(channel)
        except Exception as error:  # Redis went away meanwhile: the watch finds what it told of
            log.warning("nudges_unavailable", error=type(error).__name__)
            await asyncio.sleep(PING_EVERY)
        stream.grown.set()
