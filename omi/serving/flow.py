"""A client that reads slowly is answered slowly.

Daphne writes what the application sends into Twisted's buffer at once, whatever waits there: an export of a gigabyte,
or a thousand events, would stand in memory until the client has read them. Here the application's ``send`` waits.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

MAX_UNSENT = 1024 * 1024
"""Bytes of one answer that may wait in the process."""
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 60.0
"""A client that takes nothing at all for this long while so much waits for it is cut off."""


def unsent(transport: Any) -> int:
    """Return the bytes that wait in Twisted's buffer; 0 where that cannot be known (over TLS Twisted holds them
    elsewhere)."""
    from twisted.internet.tcp import Connection

    if not isinstance(transport, Connection):
        return 0
    return len(transport.dataBuffer) - int(transport.offset) + int(transport._tempDataLen)


def install() -> None:
    """Have daphne's answers wait for slow readers; may be called again. Does nothing under another server."""
    if "daphne.server" not in sys.modules:
        return
    from daphne.server import Server

    if getattr(Server.handle_reply, "waits", False):
        return
    original = Server.handle_reply

    async def handle_reply(self: Any, protocol: Any, message: dict[str, Any]) -> None:
        if message.get("type") == "http.response.body" and message.get("body"):
            await _room(self, protocol)
        await original(self, protocol, message)

    handle_reply.waits = True  # type: ignore[attr-defined]
    Server.handle_reply = handle_reply


async def _room(server: Any, protocol: Any) -> None:
    channel = getattr(protocol, "channel", None)
    transport: Any = getattr(channel, "transport", None)
    least, moved = unsent(transport), time.monotonic()
    while (now := unsent(transport)) > MAX_UNSENT and protocol in server.connections:
        if now < least:
            least, moved = now, time.monotonic()
        elif time.monotonic() - moved > PATIENCE_SECONDS:
            transport.abortConnection()
            return
        await asyncio.sleep(LOOK_SECONDS)
