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
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from memories import events
from memories.api.errors import exception_handler
from omi.accounts.identity import verify_token

log = structlog.get_logger(__name__)

LOOK_EVERY = 1.0
"""Seconds between looks at the log: events of other processes arrive without a shared channel layer, too."""
PING_EVERY = 15.0
LONGEST = 3600.0
"""Seconds after which a stream ends; the client comes back with ``Last-Event-ID`` and a token that still holds."""


async def event_stream(request: HttpRequest) -> HttpResponseBase:
    """Events after ``Last-Event-ID`` (or ``?after=N``), then new ones as they come; without either only new ones."""
    if request.method != "GET":
        return _refusal(405, "Method Not Allowed", {"Allow": "GET"})
    token = request.headers.get("Authorization", "")
    if not token.lower().startswith("bearer "):
        return _refusal(401, "Authorization header not found", {"WWW-Authenticate": "Bearer"})
    try:
        principal = await sync_to_async(verify_token)(token[7:].strip())
    except Exception as error:
        answer = exception_handler(error, {})
        if answer is None:
            raise
        return _refusal(answer.status_code, answer.data["detail"], dict(answer.headers))
    asked = request.headers.get("Last-Event-ID") or request.GET.get("after") or ""
    if asked and not (asked.isascii() and asked.isdigit() and len(asked) < 19):
        return _refusal(422, [{"type": "int_parsing", "loc": ["query", "after"], "msg": "Input should be a number"}])
    after = int(asked) if asked else await database_sync_to_async(events.latest)(principal.uid)
    return StreamingHttpResponse(
        follow(principal.uid, after),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def follow(uid: str, after: int, *, longest: float = LONGEST) -> AsyncIterator[str]:
    """Frames of ``id``, ``event`` and ``data``; a comment every ``PING_EVERY`` seconds keeps proxies awake."""
    layer = get_channel_layer()
    channel: str | None = None
    if layer is not None:
        try:
            channel = await layer.new_channel()
            await layer.group_add(events.group(uid), channel)
        except Exception as error:  # Redis is away: the log is read without nudges
            log.warning("nudges_unavailable", error=type(error).__name__)
            channel = None
    began = last_sent = time.monotonic()
    try:
        yield ": connected\n\n"
        while time.monotonic() - began < longest:
            for event in await database_sync_to_async(events.after)(uid, after):
                after = int(event["event_number"])
                last_sent = time.monotonic()
                yield f"id: {after}\nevent: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n"
            if time.monotonic() - last_sent >= PING_EVERY:
                last_sent = time.monotonic()
                yield ": ping\n\n"
            await _nudged(layer, channel)
    finally:
        if layer is not None and channel is not None:
            with contextlib.suppress(Exception):  # Redis is away: the membership ends by itself
                await layer.group_discard(events.group(uid), channel)


async def _nudged(layer: Any, channel: str | None) -> None:
    """Return at a nudge, after ``LOOK_EVERY`` seconds at the latest."""
    if layer is None or channel is None:
        await asyncio.sleep(LOOK_EVERY)
        return
    try:
        await asyncio.wait_for(layer.receive(channel), timeout=LOOK_EVERY)
    except TimeoutError:
        return
    except Exception as error:  # Redis went away meanwhile
        log.warning("nudges_unavailable", error=type(error).__name__)
        await asyncio.sleep(LOOK_EVERY)


def _refusal(code: int, detail: Any, headers: dict[str, str] | None = None) -> HttpResponse:
    content = json.dumps({"detail": detail})
    chosen = {name: value for name, value in (headers or {}).items() if name.lower() != "content-type"}
    return HttpResponse(content, status=code, content_type="application/json", headers=chosen)
