"""Recording and fault injection for every HTTP request (and socket handshake) of every vendor, in one middleware."""

from __future__ import annotations

import asyncio
import gzip
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from demo.vendors.state import STATE, Fault, State

ErrorMaker = Callable[[int, Fault], web.Response]
ERRORS: dict[str, ErrorMaker] = {}
TEXT_LIMIT = 2_000_000


def error_maker(vendor: str) -> Callable[[ErrorMaker], ErrorMaker]:
    """Registers the function that makes a vendor's own error body for a status."""

    def register(make: ErrorMaker) -> ErrorMaker:
        ERRORS[vendor] = make
        return make

    return register


def refuse(vendor: str, status: int, **fault: Any) -> web.Response:
    """The vendor's error answer, with Retry-After and further headers where the fault names them."""
    response = ERRORS[vendor](status, fault)
    if "retry_after" in fault:
        response.headers["Retry-After"] = str(fault["retry_after"])
    response.headers.update(fault.get("headers", {}))
    return response


def faults(request: web.Request, *kinds: str) -> list[Fault]:
    """Faults of this request of the given kinds (all, if none is given)."""
    return [f for f in request.get("faults", []) if not kinds or f["kind"] in kinds]


def fault(request: web.Request, *kinds: str) -> Fault | None:
    found = faults(request, *kinds)
    return found[0] if found else None


def state_of(request: web.Request) -> State:
    return request.app[STATE]


def bearer(request: web.Request, *schemes: str) -> str | None:
    """The credential of the Authorization header under one of the schemes (case-insensitive)."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if scheme.lower() in {s.lower() for s in schemes or ("bearer",)} else None


async def body_json(request: web.Request) -> Any:
    """The JSON body, or None when it is not JSON."""
    try:
        return json.loads(await request.read())
    except ValueError:
        return None


@web.middleware
async def record_and_inject(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Log the request, apply the faults that concern any HTTP answer, leave the others in ``request["faults"]``."""
    name = request.match_info.route.name or ""
    vendor, _, op = name.partition(".")
    if vendor not in ERRORS:
        return await handler(request)
    op = op.split("-")[0]
    state = request.app[STATE]
    entry = request["entry"] = state.entry(vendor, op, request)
    script = request["faults"] = state.take(vendor, op)
    entry["faults"] = [f["kind"] for f in script]
    socket = request.headers.get("Upgrade", "").lower() == "websocket"
    if not socket and not request.content_type.startswith("multipart/"):
        raw = await request.read()
        entry["body_bytes"] = len(raw)
        if request.content_type == "application/json" and len(raw) <= TEXT_LIMIT:
            entry["text"] = raw.decode(errors="replace")
    response = await _before(request, script, socket)
    if response is None:
        response = await handler(request)
        if not socket and isinstance(response, web.Response):
            response = await _after(request, response)
    entry["status"] = response.status
    return response


async def _before(request: web.Request, script: list[Fault], socket: bool) -> web.StreamResponse | None:
    for f in script:
        kind = f["kind"]
        if kind == "delay" and not socket:
            await asyncio.sleep(f.get("seconds", 1.0))
        elif kind == "held":
            await request.app[STATE].answered.wait()
        elif kind == "hang":
            await asyncio.sleep(f.get("seconds", 3600.0))
        elif kind == "drop" and (not socket or not any(k.startswith("after") for k in f)):
            return abort(request)
        elif kind == "html":
            page = "<!DOCTYPE html><html><body><h1>Just a moment...</h1></body></html>"
            return web.Response(status=f.get("status", 200), text=page, content_type="text/html")
        elif kind == "body":
            return body_of(f)
        elif kind == "refuse":
            return refuse(
                request["entry"]["vendor"], **{k: v for k, v in f.items() if k not in ("kind", "op", "times")}
            )
    return None


async def _after(request: web.Request, response: web.Response) -> web.StreamResponse:
    body = response.body if isinstance(response.body, bytes) else b""
    for f in faults(request, "truncated", "garbage", "reset", "slow"):
        if f["kind"] == "truncated":
            return web.Response(status=response.status, body=body[: len(body) // 2], content_type="application/json")
        if f["kind"] == "garbage":
            return web.Response(status=response.status, body=b"\xff\xfe\x00not json", content_type="application/json")
        stream = web.StreamResponse(status=response.status, headers={"Content-Type": "application/json"})
        stream.content_length = len(body)
        await stream.prepare(request)
        if f["kind"] == "reset":
            await stream.write(body[: len(body) // 2])
            abort(request)
            return stream
        for i in range(len(body)):
            await stream.write(body[i : i + 1])
            await asyncio.sleep(f.get("seconds", 1.0) / max(1, len(body)))
        return stream
    return response


def body_of(f: Fault) -> web.Response:
    """Any answer: ``text`` (which may not be JSON), or ``size`` bytes of spaces, packed where ``gzip`` says so."""
    raw = f["text"].encode() if "text" in f else b" " * int(f["size"])
    headers = {"Content-Type": f.get("content_type", "application/json")}
    if f.get("gzip"):
        raw, headers["Content-Encoding"] = gzip.compress(raw), "gzip"
    return web.Response(status=f.get("status", 200), body=raw, headers=headers)


def abort(request: web.Request) -> web.Response:
    """Cut the TCP connection without any further byte."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=499)


def new_id() -> str:
    return str(uuid.uuid4())
