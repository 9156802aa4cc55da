"""Many clients of one ``/listen`` in real time, and what each frame and each word waited."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench.servers import OURS, Serving, cpu_seconds, family, megabytes, serving
from bench.wire import BINARY, TEXT, Peer, frame, request

WARM_UP = 2.0
"""Seconds after the last stream has begun that are not counted: sessions open, vendors connect."""
BEGIN_RATE = 60.0
"""Streams that begin in a second."""
SETTLE = 15.0
"""Seconds after the last frame within which all audio must have reached the vendor and all words the clients."""
FRAME_SECONDS = {"pcm16": 0.1, "opus": 0.01}
AT_ONCE = 25
"""Handshakes under way at a time."""


@dataclass
class Result:
    """``cpu``: seconds of the server's CPU per second of one stream. Waits in milliseconds: ``up`` of every client
    frame until the vendor has all of it, ``down`` of every word from the vendor to the client, ``words`` from the end
    of a word at the client to its text there, less what the vendor took."""

    streams: int
    cpu: float = 0.0
    up: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)
    dropped: int = 0
    missing: int = 0
    late: float = 0.0
    idle_kb: float = 0.0
    active_kb: float = 0.0

    @property
    def carried(self) -> bool:
        return not self.dropped and not self.missing and max(p(self.up, 99), p(self.down, 99)) < 50.0


def p(values: Sequence[float], at: float) -> float:
    return float(np.percentile(values, at)) if len(values) else float("nan")


def frames_of(codec: str, seconds: float) -> list[bytes]:
    rng = np.random.default_rng(1)
    pcm = (rng.standard_normal(round(seconds * 16000)) * 3000).astype("<i2")
    if codec == "opus":
        from transcription.client import _opus

        return _opus(pcm, 160)[: round(seconds * 100)]
    return [pcm[at : at + 1600].tobytes() for at in range(0, len(pcm), 1600)]


class Client(Peer):
    client = True

    def __init__(self, path: str, token: str) -> None:
        super().__init__()
        self.path, self.token = path, token
        self.ready = asyncio.get_running_loop().create_future()
        self.sent: list[float] = []
        self.heard: list[tuple[float, str]] = []
        """(moment, the vendor's word)"""

    def begin(self) -> None:
        self.transport.write(request(self.path, "127.0.0.1", self.token))

    def shaken(self, head: bytes) -> None:
        if b" 101 " not in head:
            raise RuntimeError(head.decode())
        self.ready.set_result(None)

    def message(self, opcode: int, payload: bytes, mask: bytes) -> None:
        now = time.monotonic()
        if opcode != TEXT:
            return
        message = json.loads(payload)
        if isinstance(message, list):
            self.heard += [(now, text) for item in message for text in item["text"].split()]
        elif message.get("type") == "Results":
            self.heard += [(now, word["word"]) for word in message["channel"]["alternatives"][0]["words"]]


async def clients(port: int, path: str, count: int, first: int = 0) -> list[Client]:
    from omi.accounts.tokens import mint

    loop, room = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> Client:
        async with room:
            _, made = await loop.create_connection(lambda: Client(path, mint(f"bench-{number}")), "127.0.0.1", port)
            await asyncio.wait_for(made.ready, 60)
            return made

    return list(await asyncio.gather(*(one(first + number) for number in range(count))))


async def play(streams: Sequence[Client], frames: Sequence[bytes], step: float, ramp: float = 0.0) -> float:
    """Send every frame of every stream at its time; the streams begin evenly spread over ``ramp`` seconds and a step.
    How late (s, 99th percentile) the sender itself was: a load generator without a core of its own says so."""
    wire = [frame(BINARY, item, masked=True) for item in frames]
    offsets = np.arange(len(streams)) / len(streams) * (ramp + step)
    due = (offsets[:, None] + np.arange(len(wire)) * step).ravel()
    begin, late = time.monotonic() + 0.05, []
    for turn, place in enumerate(np.argsort(due, kind="stable").tolist()):
        number, index = divmod(place, len(wire))
        moment = begin + float(due[place])
        ahead = moment - time.monotonic()
        if ahead > 0.001:
            await asyncio.sleep(ahead)
        elif turn % 16 == 0:
            await asyncio.sleep(0)  # words are read meanwhile, however late this is
        stream = streams[number]
        stream.transport.write(wire[index])
        stream.sent.append(time.monotonic())
        late.append(stream.sent[-1] - moment)
    return p(late, 99)


async def run(under_test: Serving, path: str, codec: str, count: int, seconds: float) -> tuple[Result, list[Client]]:
    ramp, step, pid = count / BEGIN_RATE, FRAME_SECONDS[codec], under_test.pid
    length = round((seconds + ramp) * 2) / 2
    frames = frames_of(codec, length)
    result = Result(count)
    [warm] = await clients(under_test.port, path, 1, first=100_000)
    await play([warm], frames[: round(1.5 / step)], step)
    warm.transport.close()
    await asyncio.sleep(1.0)
    bare = megabytes(pid)
    streams = await clients(under_test.port, path, count)
    await asyncio.sleep(1.0)
    result.idle_kb = (megabytes(pid) - bare) * 1024 / count

    async def watch() -> None:
        await asyncio.sleep(ramp + WARM_UP)
        before, since = cpu_seconds(pid), time.monotonic()
        await asyncio.sleep(max(0.5, seconds - WARM_UP - 0.5))
        result.cpu = (cpu_seconds(pid) - before) / (time.monotonic() - since) / count
        result.active_kb = (megabytes(pid) - bare) * 1024 / count

    watching = asyncio.create_task(watch())
    result.late = await play(streams, frames, step, ramp)
    await watching
    expected = round(length * 2)
    until = time.monotonic() + SETTLE
    while time.monotonic() < until and any(len(stream.heard) < expected for stream in streams):
        await asyncio.sleep(0.1)
    result.missing = sum(expected - len(stream.heard) for stream in streams)
    for stream in streams:
        stream.transport.close()
    await asyncio.wait([stream.closed for stream in streams], timeout=10)
    return result, streams


def judge(result: Result, streams: Sequence[Client], vendor: dict[int, list[list[float]]], step: float) -> None:
    """Fills in the waits. A stream's vendor connection is known from its words; what was sent before all had begun and
    ``WARM_UP`` had passed is looked for but not timed."""
    since = max(stream.sent[0] for stream in streams) + WARM_UP
    for stream in streams:
        arrivals: list[list[float]] = []
        for moment, text in stream.heard:
            connection, arrived, said, seconds = text.split("/")
            arrivals = vendor.get(int(connection), arrivals)
            last = min(len(stream.sent), round(float(seconds) / step)) - 1
            if stream.sent[last] >= since:
                result.down.append((moment - float(said)) * 1000)
                result.words.append((moment - stream.sent[last] - (float(said) - float(arrived))) * 1000)
        at = 0
        for index, sent in enumerate(stream.sent):
            while at < len(arrivals) and arrivals[at][0] < (index + 1) * step - 1e-3:
                at += 1
            if at == len(arrivals):
                result.dropped += len(stream.sent) - index
                break
            if sent >= since:
                result.up.append((arrivals[at][1] - sent) * 1000)


STORED = "&new_memory_watch=true"
"""Of the query: the conversation is stored by whatever sink the server has."""


def measure(app: str, server: str, codec: str, streams: int, seconds: float, *, stored: bool = False) -> Result:
    """One run against a fresh server: CPU, waits, memory. ``stored``: with the product's own sink."""
    extra = {"BENCH_SINK": "real"} if stored else {}
    with serving(app, server, codec, **extra) as under_test:
        path = f"/listen?codec={codec}&sample_rate=16000{STORED if stored else ''}"
        result, sent = asyncio.run(run(under_test, path, codec, streams, seconds))
        time.sleep(1.0 if app != OURS else 3.0)  # the vendor's connections end
        lines: list[dict[str, Any]] = [json.loads(line) for line in under_test.vendor_log.read_text().splitlines()]
    judge(result, sent, {line["connection"]: line["arrivals"] for line in lines}, FRAME_SECONDS[codec])
    return result


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of a conversation: CPU seconds of the server per second of one stream, and kilobytes that the server
    handed to the operating system per stream (journal, database, sockets)."""

    cpu: float
    written_kb: float


def written(pid: int) -> int:
    """Bytes that a process has written to anything."""
    lines = [line for member in family(pid) for line in Path(f"/proc/{member}/io").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("wchar"))


async def _minute(pid: int, streams: Sequence[Client], frames: Sequence[bytes], step: float) -> Minute:
    """The first and the last seconds of the minute are not counted: what came before is stored, the streams end."""
    playing = asyncio.create_task(play(streams, frames, step))
    await asyncio.sleep(WARM_UP * 2)
    cpu, size, since = cpu_seconds(pid), written(pid), time.monotonic()
    await asyncio.sleep(len(frames) * step - WARM_UP * 2 - 1.0)
    passed = time.monotonic() - since
    found = Minute(
        (cpu_seconds(pid) - cpu) / passed / len(streams), (written(pid) - size) * 60 / passed / len(streams) / 1024
    )
    await playing
    return found


async def _hour(under_test: Serving, streams: int, minutes: int, speed: float) -> tuple[Minute, Minute]:
    step = FRAME_SECONDS["pcm16"]
    frames = frames_of("pcm16", 60.0)
    path = f"/listen?codec=pcm16&sample_rate=16000{STORED}"
    open_streams = await clients(under_test.port, path, streams)
    first = await _minute(under_test.pid, open_streams, frames, step)
    whole = [b"".join(frames[at : at + 10]) for at in range(0, len(frames), 10)]
    for _ in range(minutes - 2):
        await play(open_streams, whole, step * 10 / speed)
    await asyncio.sleep(SETTLE)
    last = await _minute(under_test.pid, open_streams, frames, step)
    expected = minutes * 120
    until = time.monotonic() + SETTLE
    while time.monotonic() < until and any(len(stream.heard) < expected for stream in open_streams):
        await asyncio.sleep(0.1)
    missing = sum(expected - len(stream.heard) for stream in open_streams)
    if missing:
        raise RuntimeError(f"{missing} words of {expected * streams} did not come: this is no measurement")
    for stream in open_streams:
        stream.transport.close()
    await asyncio.wait([stream.closed for stream in open_streams], timeout=10)
    return first, last


def long_conversation(streams: int, minutes: int = 60, speed: float = 30.0) -> tuple[Minute, Minute]:
    """The first and the last minute, in real time, of conversations whose minutes between are sent ``speed`` times as
    fast; stored with the product's own sink."""
    with serving(OURS, "daphne", "pcm16", BENCH_SINK="real") as under_test:
        return asyncio.run(_hour(under_test, streams, minutes, speed))
