"""The phone's side: what the app sends and hears, over the real wire."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import websockets

from demo.servers import DemoError

Json = dict[str, Any]


class App:
    """REST calls of the app. Every answer that is not the expected one ends the demo with a clear sentence."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.token = token
        self.http = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=120.0)

    def call(self, method: str, path: str, *, expect: int = 200, **arguments: Any) -> Any:
        answer = self.http.request(method, path, **arguments)
        if answer.status_code != expect:
            raise DemoError(f"{method} {path} answered {answer.status_code}, not {expect}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    def upload(self, path: str, recording: Path, **arguments: Any) -> Any:
        with recording.open("rb") as file:
            return self.call("POST", path, files={"file": (recording.name, file, "audio/wav")}, **arguments)

    def wait_for_event(self, kinds: set[str], after: int, timeout: float, on_event: Callable[[Json], None]) -> Json:
        """Follow ``GET /v1/events`` (server-sent events) until one of ``kinds`` comes."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                for event in self._events(after, deadline):
                    after = int(event["event_number"])
                    on_event(event)
                    if event["type"] in kinds:
                        return event
            except httpx.TransportError:
                time.sleep(0.2)  # the stream is followed again from the last number: nothing is missed
        raise DemoError(f"None of {', '.join(sorted(kinds))} came within {timeout:.0f} s")

    def _events(self, after: int, deadline: float) -> Iterator[Json]:
        headers = {"Accept": "text/event-stream"}
        timeout = httpx.Timeout(30.0, read=max(1.0, deadline - time.monotonic()))
        with self.http.stream("GET", "/v1/events", params={"after": after}, headers=headers, timeout=timeout) as stream:
            if stream.status_code != 200:
                stream.read()
                raise DemoError(f"GET /v1/events answered {stream.status_code}: {stream.text[:200]}")
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    yield json.loads(line[5:])
                if time.monotonic() > deadline:  # the server's comments keep an idle stream alive for ever
                    return


@dataclass
class Heard:
    """What came back on the socket. ``first_word`` and ``duration`` in seconds since the socket opened."""

    segments: dict[str, Json] = field(default_factory=dict)
    events: list[Json] = field(default_factory=list)
    first_word: float | None = None
    duration: float = 0.0

    def ordered(self) -> list[Json]:
        return sorted(self.segments.values(), key=lambda segment: (segment["start"], segment["end"]))


def stream(
    url: str, token: str, pcm: bytes, *, speed: float, on_segment: Callable[[Json], None], **query: Any
) -> Heard:
    """Send 16 kHz PCM to ``/listen`` in 100 ms messages at ``speed`` times real time, then stop as the app does."""
    return asyncio.run(_stream(url, token, pcm, speed, on_segment, query))


async def _stream(
    url: str, token: str, pcm: bytes, speed: float, on_segment: Callable[[Json], None], query: Json
) -> Heard:
    heard = Heard()
    parameters: dict[str, Any] = {
        "language": "en",
        "sample_rate": 16000,
        "codec": "pcm16",
        "include_speech_profile": "true",
        "new_memory_watch": "true",
        **query,
    }
    address = url.replace("http", "ws", 1) + "/listen?" + str(httpx.QueryParams(parameters))
    began = time.monotonic()
    async with websockets.connect(
        address, additional_headers={"Authorization": f"Bearer {token}"}, max_size=None, open_timeout=30
    ) as socket:
        done = asyncio.Event()
        reader = asyncio.create_task(_read(socket, heard, began, on_segment, done))
        for index, start in enumerate(range(0, len(pcm), 3200)):
            await socket.send(pcm[start : start + 3200])
            ahead = index * 0.1 / speed - (time.monotonic() - began)
            if ahead > 0:
                await asyncio.sleep(ahead)
        await socket.send(json.dumps({"type": "finish"}))
        try:
            await asyncio.wait_for(done.wait(), timeout=180)
        except TimeoutError:
            raise DemoError("The server did not say within 180 s that the conversation was complete") from None
        await socket.close(1000)
        reader.cancel()
    heard.duration = time.monotonic() - began
    return heard


async def _read(
    socket: Any, heard: Heard, began: float, on_segment: Callable[[Json], None], done: asyncio.Event
) -> None:
    try:
        async for text in socket:
            message = json.loads(text)
            if isinstance(message, list):
                for segment in message:
                    heard.first_word = heard.first_word or time.monotonic() - began
                    heard.segments[segment.get("id") or f"{segment['start']}"] = segment
                    on_segment(segment)
                continue
            heard.events.append(message)
            if message.get("type") in {"new_memory_creating", "new_memory_created", "new_memory_create_failed"}:
                done.set()
    except websockets.ConnectionClosed:
        done.set()
