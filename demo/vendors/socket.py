"""A vendor's websocket with its fault script: what is sent, dropped, stalled or spoilt, and a record of it all."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from demo.vendors.http import faults, state_of
from demo.vendors.state import Fault

ENDING = ("drop", "close", "error")
TIMED = (*ENDING, "stall", "unread")


class Gone(Exception):
    """The connection was ended by a fault or by the client."""


class InBand(Exception):
    """The fault script asks for the vendor's own in-band error; the vendor's file says how it looks."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.get("type"))
        self.fault = fault


class Socket:
    """Accepts the handshake; ``receive`` and ``send`` run the faults. Only the vendor's handler uses it."""

    def __init__(self, request: web.Request, protocols: tuple[str, ...] = ()) -> None:
        self.request, self.state = request, state_of(request)
        self.entry: dict[str, Any] = request["entry"]
        self.entry |= {"frames": 0, "audio_bytes": 0, "texts": [], "sent": [], "closed": None, "open": True}
        self.script: list[Fault] = list(faults(request))
        self.ws = web.WebSocketResponse(
            protocols=protocols, max_msg_size=32 * 1024 * 1024, compress=False, autoping=False, timeout=2.0
        )
        self.ping_counts = False  # whether a ping restarts the idle timer
        self.audio = 0.0  # seconds received, kept by the handler
        self.results = 0
        self.stalled = False
        self._held: list[dict[str, Any]] = []
        self._opened = 0.0

    def has(self, kind: str) -> bool:
        return any(f["kind"] == kind for f in self.script)

    async def accept(self, headers: dict[str, str] | None = None) -> None:
        self.ws.headers.update(headers or {})
        await self.ws.prepare(self.request)
        self._opened = asyncio.get_running_loop().time()

    async def _check(self) -> None:
        now = asyncio.get_running_loop().time() - self._opened
        for f in list(self.script):
            if f["kind"] not in TIMED:
                continue
            if (
                self.entry["frames"] >= f.get("after_frames", 0)
                and self.audio >= f.get("after_audio", 0.0)
                and self.results >= f.get("after_results", 0)
                and now >= f.get("after_seconds", 0.0)
            ):
                self.script.remove(f)
                await self._apply(f)

    async def _apply(self, fault: Fault) -> None:
        kind = fault["kind"]
        if kind == "stall":
            self.stalled = True
        elif kind == "unread":
            await asyncio.sleep(fault.get("seconds", 3600.0))
        elif kind == "drop":
            if self.request.transport is not None:
                self.request.transport.abort()
            raise Gone
        elif kind == "close":
            await self.close(fault.get("code", 1011), fault.get("reason", ""))
            raise Gone
        elif kind == "error":
            raise InBand(fault)

    async def receive(self, timeout: float | None = None, deadline: float | None = None) -> bytes | str:
        """The next frame. Raises Gone (client left), TimeoutError (``timeout`` s over, or loop time ``deadline``)."""
        await self._check()
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout if timeout is not None else None
        while True:
            now = loop.time()
            alarms = [
                self._opened + f["after_seconds"] for f in self.script if "after_seconds" in f and f["kind"] in TIMED
            ]
            waits = [max(0.001, t - now) for t in (*alarms, until, deadline) if t is not None]
            try:
                message = await self.ws.receive(timeout=min(waits) if waits else None)
                if message.type is WSMsgType.PING:
                    await self.ws.pong(message.data)
                    self.entry["pings"] = self.entry.get("pings", 0) + 1
                    until = loop.time() + timeout if timeout is not None and self.ping_counts else until
                elif message.type is not WSMsgType.PONG:
                    break
            except TimeoutError:
                await self._check()
                if any(t is not None and loop.time() >= t for t in (until, deadline)):
                    raise
        if message.type is WSMsgType.BINARY:
            self.entry["frames"] += 1
            self.entry["audio_bytes"] += len(message.data)
            return bytes(message.data)
        if message.type is WSMsgType.TEXT:
            self.entry["texts"].append(message.data)
            return str(message.data)
        self.entry["closed"] = self.ws.close_code
        raise Gone

    async def send(self, message: dict[str, Any], final: bool = False, result: bool = True) -> None:
        """Send JSON; ``final`` and ``result`` tell which faults concern it."""
        await self._check()
        if self.stalled:
            return
        if result:
            self.results += 1
            for f in list(self.script):
                if f["kind"] in ("malformed", "garbage_frame") and self.results > f.get("after_results", 0):
                    self.script.remove(f)
                    if f["kind"] == "malformed":
                        await self._write(f.get("text", json.dumps(message)[:-7]))
                    else:
                        await self.ws.send_bytes(b"\x00\xff\x13garbage")
                elif f["kind"] in ("delay", "slow"):
                    await asyncio.sleep(f.get("seconds", 0.2))
        if final and self.has("out_of_order"):
            self._held.append(message)
            if len(self._held) == 2:
                later, self._held = self._held[::-1], []
                for held in later:
                    await self._write(json.dumps(held))
            return
        for _ in range(2 if final and self.has("duplicate_finals") else 1):
            await self._write(json.dumps(message))

    async def release(self) -> None:
        """Send what out_of_order still holds (before the last message of a session)."""
        held, self._held = self._held, []
        for message in held:
            await self._write(json.dumps(message))

    async def _write(self, text: str) -> None:
        try:
            await self.ws.send_str(text)
        except (ConnectionError, RuntimeError) as error:
            raise Gone from error
        self.entry["sent"].append(text)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.entry["closed"] = code
        await self.ws.close(code=code, message=reason.encode()[:120])

    def end(self) -> web.WebSocketResponse:
        self.entry["open"] = False
        return self.ws
