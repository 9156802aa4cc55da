"""A client of ``/listen``, as the app is one: for the ``listen`` command, the demo, the benchmark and tests."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np

from transcription.audio.codecs import RATE, Decimator

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

_FRAME_SECONDS = {"pcm8": 0.1, "pcm16": 0.1, "opus": 0.01, "opus_fs320": 0.02}


def encode(wav: Path, codec: str) -> list[bytes]:
    """The socket frames for a 16 kHz mono WAV: 100 ms of PCM, or one Opus packet, each."""
    with wave.open(str(wav), "rb") as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    if codec.startswith("opus"):
        return _opus(pcm, round(_FRAME_SECONDS[codec] * RATE))
    if codec == "pcm8":
        pcm = np.frombuffer(Decimator(2)(pcm), "<i2")
    step = round(_FRAME_SECONDS[codec] * (8000 if codec == "pcm8" else RATE))
    return [pcm[at : at + step].tobytes() for at in range(0, len(pcm), step)]


def _opus(pcm: Any, size: int) -> list[bytes]:
    import av

    encoder: Any = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
    encoder.options = {"frame_duration": f"{size * 1000 // RATE}", "application": "voip"}
    encoder.open()
    packets: list[bytes] = []
    padded = np.pad(pcm, (0, -len(pcm) % size))
    for at in range(0, len(padded), size):
        frame = av.AudioFrame.from_ndarray(padded[None, at : at + size], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, at
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    packets += [bytes(packet) for packet in encoder.encode(None)]
    return packets


class Closed(Exception):
    """The server ended the connection. ``code`` of RFC 6455 7.4."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"the server closed the connection: {code} {reason}".rstrip())
        self.code = code


@dataclass(slots=True)
class ListenClient:
    """A client of ``/listen``. ``on_message`` gets every message as parsed JSON. The token goes in the header, as the
    app sends it."""

    url: str
    token: str
    codec: str = "opus"
    language: str = "en"
    watch: bool = True
    on_message: Callable[[Any], None] = lambda message: None
    extra: tuple[tuple[str, str], ...] = ()

    def address(self) -> str:
        rate = 8000 if self.codec == "pcm8" else 16000
        query = {
            "language": self.language,
            "sample_rate": rate,
            "codec": self.codec,
            "include_speech_profile": "true",
            "new_memory_watch": "true" if self.watch else "false",
            **dict(self.extra),
        }
        return f"{self.url.replace('http', 'ws', 1).rstrip('/')}/listen?{urlencode(query)}"

    async def run(
        self, frames: Sequence[bytes], *, speed: float = 1.0, expect: str | None = None, wait: float = 60.0
    ) -> bool:
        """Send all frames, then ``finish``; wait for the event ``expect`` (or the last words). True when it came.

        Raises Closed where the server ends it before, OSError where nobody answers.
        """
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed

        arrived = asyncio.Event()
        async with connect(
            self.address(), additional_headers={"Authorization": f"Bearer {self.token}"}, max_size=None
        ) as socket:

            async def read() -> None:
                with contextlib.suppress(ConnectionClosed):
                    async for text in socket:
                        message = json.loads(text)
                        self.on_message(message)
                        if isinstance(message, dict) and message.get("type") == expect:
                            arrived.set()

            reader = asyncio.create_task(read())
            with contextlib.suppress(ConnectionClosed):  # the reader meets it, too
                await self._send(socket, frames, speed)
            waiter = asyncio.create_task(arrived.wait())
            await asyncio.wait([waiter, reader], timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            ended = reader.done()
            reader.cancel()
            await asyncio.gather(waiter, reader, return_exceptions=True)
            if ended and not arrived.is_set():
                raise Closed(socket.close_code, socket.close_reason or "")
        return arrived.is_set()

    async def _send(self, socket: ClientConnection, frames: Sequence[bytes], speed: float) -> None:
        began, seconds = time.monotonic(), _FRAME_SECONDS[self.codec]
        for index, frame in enumerate(frames):
            await socket.send(frame)
            if speed > 0:
                ahead = index * seconds / speed - (time.monotonic() - began)
                if ahead > 0.005:
                    await asyncio.sleep(ahead)
        await socket.send(json.dumps({"type": "finish"}))
