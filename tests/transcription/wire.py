"""The socket's consumer without a server: what a client sends goes in as ASGI messages, its answers come out."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.transcription.fakes import MemorySink, NoBreaker, Script, spoken_pcm
from tests.transcription.live_session import FAST, TEN
from transcription.journal.quota import Quota
from transcription.listen import authentication, capacity, connection_limits
from transcription.listen.consumer import ListenConsumer
from transcription.session.dependencies import Dependencies

TOKENS: dict[str, tuple[str, float]] = {}
"""Token to user and end; one that is not here is bad."""
REAL_ADMIT = authentication.admit


async def admit(token: str) -> authentication.Visitor:
    if token not in TOKENS or TOKENS[token][1] <= time.time():
        raise authentication.Refused("unauthenticated", "The token is not valid.")
    uid, ends = TOKENS[token]
    return authentication.Visitor(uid, (), 1.0, ends, token)


class Wire:
    """One socket. ``direct``: offers what daphne offers; ``unread`` bytes then seem to wait in its transport."""

    def __init__(
        self,
        *vendors: Script,
        uid: str = "u1",
        sink: MemorySink | None = None,
        direct: bool = False,
        ends: float = math.inf,
        **query: str,
    ) -> None:
        self.sink = sink or MemorySink()
        TOKENS[uid] = uid, ends
        dependencies = Dependencies(
            sink=self.sink,
            vendors=vendors,
            breaker=lambda name: NoBreaker(),
            gate=False,
            gap_seconds=120.0,
            tuning=FAST,
        )
        self.consumer = type("Socket", (ListenConsumer,), {"dependencies": staticmethod(lambda: dependencies)})()
        self.messages: list[Any] = []
        self.code: int | None = None
        self.reason = ""
        self.unread = 0
        self._direct = direct
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        query = {"codec": "pcm16", "sample_rate": "16000", "new_memory_watch": "true", **query}
        self._scope = {
            "type": "websocket",
            "query_string": urlencode(query).encode(),
            "headers": [(b"authorization", f"Bearer {uid}".encode())],
        }
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Wire:
        self._task = asyncio.create_task(self.consumer(self._scope, self._incoming.get, self._take))
        self._incoming.put_nowait({"type": "websocket.connect"})
        await self.until(lambda: self.messages or self.code is not None)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
        assert self._task is not None
        await asyncio.wait_for(self._task, 10)

    async def _take(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept" and self._direct:
            offered = message["omi.direct"]
            offered.write = lambda text: self.messages.append(json.loads(text)) or True
            offered.waiting = lambda: self.unread
        elif message["type"] == "websocket.send":
            self.messages.append(json.loads(message["text"]))
        elif message["type"] == "websocket.close":
            self.code, self.reason = message["code"], message["reason"]

    def send(self, data: bytes | str | dict[str, Any]) -> None:
        if isinstance(data, dict):
            data = json.dumps(data)
        key = "bytes" if isinstance(data, bytes) else "text"
        self._incoming.put_nowait({"type": "websocket.receive", key: data})

    async def until(self, ready: Callable[[], Any], seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < end, (self.code, self.messages[-10:])
            assert self._task is None or not self._task.done() or self._task.exception() is None
            await asyncio.sleep(0.005)

    async def read(self) -> None:
        """Until all that was sent has been taken."""
        await self.until(lambda: self._incoming.empty() and not self.consumer._handling)

    def of(self, kind: str) -> list[Any]:
        return [item for item in self.messages if isinstance(item, dict) and item.get("type") == kind]

    def reasons(self, status: str) -> list[str]:
        return [item.get("reason", "") for item in self.of("service_status") if item["status"] == status]

    @property
    def words(self) -> list[str]:
        parts = [part for item in self.messages if isinstance(item, list) for part in item]
        return [word for part in parts for word in part["text"].split()]


@pytest.fixture(autouse=True)
def fresh(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OMI_DATA_DIR = tmp_path
    monkeypatch.setattr(authentication, "admit", admit)
    monkeypatch.setattr(authentication, "verify", admit)
    monkeypatch.setattr(capacity, "_sessions", {})
    monkeypatch.setattr(connection_limits, "_slots", {})
    monkeypatch.setattr("transcription.journal.writer.QUOTA", Quota())


async def fill(wire: Wire, pcm: bytes = spoken_pcm(TEN)) -> None:
    for at in range(0, len(pcm), 3200):
        wire.send(pcm[at : at + 3200])
    await wire.read()
