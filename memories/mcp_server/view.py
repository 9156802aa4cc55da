"""``/mcp``: the official server's streamable HTTP transport behind a Django view, with the same bearer tokens.

Stateless: each POST is answered with JSON and nothing is kept between two, so that any process answers any of them.
GET (a stream of the server's own messages) and DELETE (of a session) are 405, which the protocol provides for.
"""

from __future__ import annotations

import io
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from pydantic import ValidationError
from rest_framework.exceptions import ParseError

from memories.api.errors import ApiError, refusal
from memories.mcp_server.tools import TOOLS, Refused
from omi.accounts.authentication import bearer_of
from omi.accounts.throttles import allowed
from omi.core.database_threads import pool
from omi.core.json_parser import StrictJSONParser
from omi.core.slots import Busy, Slots

log = structlog.get_logger(__name__)

MOST_BYTES = 256 * 1024

CALLS = Slots("calls of tools", seconds=120.0)
PER_USER, PER_PROCESS = 3, 12
_THREADS = pool("mcp", PER_PROCESS)
"""Of their own: a search may wait for a vendor, and the loop's threads are everybody's."""


@csrf_exempt  # a bearer token is no cookie: no other site can send it
async def mcp(request: HttpRequest) -> HttpResponse:
    """One JSON-RPC message of a client."""
    try:
        if request.method != "POST":
            raise ApiError(405, "Method Not Allowed", headers={"Allow": "POST"})
        principal = await sync_to_async(bearer_of)(request)
        if not await sync_to_async(allowed)("requests", principal.uid):
            raise ApiError(429, "Too many requests", headers={"Retry-After": "60"})
        if len(request.body) > MOST_BYTES:
            raise ApiError(413, f"A message may have at most {MOST_BYTES} bytes")
    except Exception as error:
        return refusal(error)
    try:
        StrictJSONParser().parse(io.BytesIO(request.body))  # as at every other door, before the server's own parser
    except ParseError as error:
        return refusal(ApiError(400, str(error.detail)))
    return await _handled(request, principal.uid)


async def _handled(request: HttpRequest, uid: str) -> HttpResponse:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    headers: dict[str, str] = {}
    status, body = 500, b""
    sent = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start":
            status = int(message["status"])
            given = message.get("headers", [])
            headers.update({name.decode("latin1"): value.decode("latin1") for name, value in given})
        else:
            body += message.get("body", b"")

    manager = StreamableHTTPSessionManager(_server(uid), json_response=True, stateless=True)
    scope = {
        "type": "http", "method": "POST", "path": "/mcp", "raw_path": b"/mcp", "query_string": b"",
        "http_version": "1.1", "scheme": "http", "server": ("127.0.0.1", 80), "client": None, "root_path": "",
        "headers": [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in request.headers.items()],
    }  # fmt: skip
    async with manager.run():
        await manager.handle_request(scope, receive, send)
    kept = {name: value for name, value in headers.items() if name.lower() not in ("content-length", "content-type")}
    kind = headers.get("content-type", "application/json")
    return HttpResponse(body, status=status, content_type=kind, headers={"Cache-Control": "no-store", **kept})


def _in_place(function: Callable[[str, Any], dict[str, Any]], uid: str, asked: Any) -> dict[str, Any]:
    """Raises omi.core.slots.Busy at once: a thread that waits for a place would be one that others need."""
    with CALLS.held(uid, per_user=PER_USER, in_all=PER_PROCESS):
        return function(uid, asked)


def _server(uid: str) -> Any:
    """A server whose tools are one user's."""
    from mcp import types
    from mcp.server.lowlevel import Server

    server: Any = Server("omi-memories", version="1")

    async def list_tools() -> list[Any]:
        return [
            types.Tool(
                name=name, description=" ".join((shape.__doc__ or "").split()), inputSchema=shape.model_json_schema(),
                annotations=types.ToolAnnotations(readOnlyHint=True, openWorldHint=False),
            )
            for name, (shape, _) in TOOLS.items()
        ]  # fmt: skip

    async def call_tool(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if name not in TOOLS:
            raise ValueError("There is no such tool.")
        shape, function = TOOLS[name]
        try:
            asked = shape.model_validate(arguments)
            work = database_sync_to_async(_in_place, thread_sensitive=False, executor=_THREADS)
            found: dict[str, Any] = await work(function, uid, asked)
            return found
        except ValidationError as error:
            raise ValueError(f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
        except (Refused, Busy) as error:
            raise ValueError(str(error)) from None
        except Exception as error:  # the client reads a sentence of ours, never one of an exception
            log.warning("mcp_tool_failed", tool=name, error=type(error).__name__)
            raise ValueError("This cannot be answered at the moment; try again later.") from None

    server.list_tools()(list_tools)
    server.call_tool()(call_tool)
    return server
