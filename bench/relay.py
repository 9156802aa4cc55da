"""The yardstick: an ASGI application that relays frames to the vendor and results to the client, and no more."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from websockets.asyncio.client import connect

URL = (
    os.environ.get("DEEPGRAM_URL", "").replace("http", "ws", 1).rstrip("/")
    + "/v1/listen?model=x&encoding=linear16&sample_rate=16000"
)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    async with connect(URL, compression=None, max_size=None) as vendor:

        async def back() -> None:
            async for text in vendor:
                await send({"type": "websocket.send", "text": text})

        task = asyncio.create_task(back())
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("bytes"):
                await vendor.send(message["bytes"])
        task.cancel()
