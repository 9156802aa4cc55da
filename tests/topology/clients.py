"""Clients that go on through everything: one that talks, one that uploads. What each has sent, and when it was cut."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from omi.accounts.tokens import mint

STEP = 0.1
CHUNK = 3200
PING_SECONDS = 3.0
NOTICED_SECONDS = 2 * PING_SECONDS + 2.0
"""A client that was cut off notices at most so much later; until then what it sends goes nowhere."""


@dataclass
class Piece:
    """What went out on one connection: from and to, in seconds of the talk; whether the server closed it in order."""

    start: float
    end: float
    orderly: bool = False
    opened: float = field(default_factory=time.monotonic)

    def lasted(self, begin: float, end: float) -> bool:
        """Whether audio went out on it between two moments (``time.monotonic``)."""
        return self.opened < end and self.opened + self.end - self.start > begin


@dataclass
class Talker:
    """A user who says the whole recording, in real time, on as many connections as it takes; then ``finish``.

    ``waits``: they say nothing while they are cut off. Without it they go on talking, as people do: what they say
    meanwhile reaches nobody, and a recording of the talk keeps the conversation's clock."""

    url: str
    uid: str
    pcm: bytes
    waits: bool = True
    pieces: list[Piece] = field(default_factory=list)
    refused: int = 0
    done: bool = False
    _begun: float | None = None

    @property
    def token(self) -> str:
        return mint(self.uid)

    async def talk(self) -> None:
        query = urlencode({"codec": "pcm16", "sample_rate": "16000", "language": "en", "new_memory_watch": "true"})
        address = f"{self.url.replace('http', 'ws', 1)}/listen?{query}"
        at = 0
        until = time.monotonic() + 600
        while not self.done:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.uid} got no further than {at / 32000:.1f} s")
            try:
                async with connect(
                    address, additional_headers={"Authorization": f"Bearer {self.token}"}, open_timeout=8,
                    ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS, close_timeout=2, max_size=None,
                ) as socket:  # fmt: skip
                    at = await self._say(socket, at)
            except (OSError, WebSocketException, TimeoutError):
                self.refused += 1
            if not self.done:
                await asyncio.sleep(0.3 + random.random() * 0.5)

    async def _say(self, socket: Any, at: int) -> int:
        if self._begun is None or self.waits:
            self._begun = time.monotonic() - at / 32000
        begun = self._begun
        at = max(at, min(len(self.pcm), round((time.monotonic() - begun) / STEP) * CHUNK))
        piece = Piece(at / 32000, at / 32000)
        self.pieces.append(piece)
        reading = asyncio.create_task(_read(socket))
        try:
            while at < len(self.pcm) and not reading.done():
                await socket.send(self.pcm[at : at + CHUNK])
                at += CHUNK
                piece.end = min(at, len(self.pcm)) / 32000
                await asyncio.sleep(max(0.0, begun + at / 32000 - time.monotonic()))
            if not reading.done() and at >= len(self.pcm):
                await socket.send(json.dumps({"type": "finish"}))
                await asyncio.wait([reading], timeout=20)
                self.done = reading.done() and bool(reading.result())
        except (OSError, WebSocketException):
            pass
        finally:
            reading.cancel()
            with contextlib.suppress(BaseException):
                await reading
            piece.orderly = socket.close_code == 1012
        return at


async def _read(socket: Any) -> bool:
    """True where the server says that the memory is being made; False where the connection ends."""
    with contextlib.suppress(OSError, WebSocketException):
        async for text in socket:
            message = json.loads(text)
            if isinstance(message, dict) and message.get("type") in (
                "new_memory_creating", "new_memory_created", "memory_updated",
            ):  # fmt: skip
                return True
            if isinstance(message, dict) and message.get("status") in ("finishing", "ignored"):
                return True
    return False


class Phone:
    """REST calls of one user through nginx; a call that is cut off is made again, as the app does."""

    def __init__(self, url: str, uid: str) -> None:
        self.url, self.uid = url, uid

    def call(self, method: str, path: str, *, patience: float = 240.0, **more: Any) -> Any:
        until = time.monotonic() + patience
        while True:
            try:
                with httpx.Client(
                    base_url=self.url, headers={"Authorization": f"Bearer {mint(self.uid)}"}, timeout=60.0
                ) as client:
                    answer = client.request(method, path, **more)
                if answer.status_code < 500 and answer.status_code not in (404, 409, 429):
                    answer.raise_for_status()
                    return answer.json()
                problem = f"{answer.status_code} {answer.text[:200]}"
            except httpx.TransportError as error:
                problem = type(error).__name__
            if time.monotonic() > until:
                raise TimeoutError(f"{method} {path}: {problem}")
            time.sleep(0.5)
