"""What goes out to one client: in order, at once where the server can, never more than a client may leave unread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from transcription.listen.daphne_socket import Direct

MAX_WAITING = 1024 * 1024
"""Bytes that may wait for a client that does not read: two hours of segments, and it is parted with."""
EASY = 128 * 1024
"""Bytes: with more than this waiting, what can wait (the replay of events) does."""


class Outgoing:
    """Sends one client its messages. ``send`` is the ASGI channel; ``too_slow`` is told once when the client leaves too
    much unread."""

    def __init__(
        self, direct: Direct, send: Callable[[dict[str, Any]], Awaitable[None]], too_slow: Callable[[], None]
    ) -> None:
        self._direct = direct
        self._send = send
        self._too_slow = too_slow
        self._texts: deque[str] = deque()
        self._bytes = 0
        self._more = asyncio.Event()
        self.closed = False

    @property
    def waiting(self) -> int:
        """Bytes, as far as this process knows: what the kernel holds is not counted."""
        return self._bytes + (self._direct.waiting() if self._direct.waiting is not None else 0)

    @property
    def easy(self) -> bool:
        return not self.closed and self.waiting <= EASY

    def put(self, text: str) -> None:
        if self.closed:
            return
        if self.waiting > MAX_WAITING:
            self.closed = True
            self._texts.clear()
            self._bytes = 0
            self._too_slow()
            return
        if self._direct.write is not None and self._direct.write(text):
            return
        self._texts.append(text)
        self._bytes += len(text)
        self._more.set()

    async def run(self) -> None:
        """Send what is put, where the server takes nothing directly."""
        while True:
            await self._more.wait()
            self._more.clear()
            await self.flush()

    async def flush(self) -> None:
        while self._texts:
            text = self._texts.popleft()
            self._bytes -= len(text)
            await self._send({"type": "websocket.send", "text": text})
