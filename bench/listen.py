"""``make bench-listen``: what one live stream costs, against a bare relay in the same language and the same run.

The server under test has one core, the simulated vendor and the clients have the other. CPU is read from the process,
so the ratio holds on a busy machine; latencies and capacity do not, and are printed with the machine's load.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from websockets.asyncio.client import connect

from bench.servers import OURS, RELAY, cpu_seconds, megabytes, pin, serving

WARM_UP = 2.0
"""Seconds of a run that are not counted: the first session of a process imports what it needs."""
FRAME_SECONDS = {"pcm16": 0.1, "opus": 0.01}


@dataclass
class Result:
    """``cpu``: seconds of server CPU per second of one stream. Latencies in milliseconds."""

    cpu: float
    up: list[float] = field(default_factory=list)
    down: list[float] = field(default_factory=list)
    words: int = 0
    rss_idle: float = 0.0
    rss_active: float = 0.0
    late: float = 0.0


def frames_of(codec: str, seconds: float) -> list[bytes]:
    rng = np.random.default_rng(1)
    pcm = (rng.standard_normal(round(seconds * 16000)) * 3000).astype("<i2")
    if codec == "opus":
        from transcription.client import _opus

        return _opus(pcm, 160)
    return [pcm[at : at + 1600].tobytes() for at in range(0, len(pcm), 1600)]


async def client(
    url: str, token: str, frames: Sequence[bytes], step: float, begin: float, result: Result
) -> list[float]:
    """Sends in real time; returns the moments of sending. Words carry the moment at which the vendor said them."""
    sent: list[float] = []
    async with connect(
        url,
        additional_headers={"Authorization": f"Bearer {token}"},
        compression=None,
        ping_interval=None,
        open_timeout=60,
    ) as server:

        async def read() -> None:
            async for text in server:
                now = time.monotonic()
                message = json.loads(text)
                if isinstance(message, list):
                    said = [part for item in message for part in item["text"].split()]
                elif message.get("type") == "Results":
                    said = [word["word"] for word in message["channel"]["alternatives"][0]["words"]]
                else:
                    continue
                result.words += len(said)
                result.down += [(now - float(moment)) * 1000 for moment in said]

        reader = asyncio.create_task(read())
        for index, frame in enumerate(frames):
            wait = begin + index * step - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            await server.send(frame)
            sent.append(time.monotonic())
        await asyncio.sleep(0.5)
        reader.cancel()
    return sent


async def load(url: str, codec: str, streams: int, seconds: float, pid: int) -> tuple[Result, list[list[float]]]:
    from omi.accounts.tokens import mint

    result, step = Result(0.0), FRAME_SECONDS[codec]
    frames = frames_of(codec, seconds)
    result.rss_idle = megabytes(pid)
    begin = time.monotonic() + 1.0 + streams * 0.02
    work = [
        asyncio.create_task(client(url, mint(f"bench-{number}"), frames, step, begin + step * number / streams, result))
        for number in range(streams)
    ]
    await asyncio.sleep(begin + WARM_UP - time.monotonic())
    before, since = cpu_seconds(pid), time.monotonic()
    await asyncio.sleep(max(0.5, seconds - WARM_UP - 0.5))
    used, took = cpu_seconds(pid) - before, time.monotonic() - since
    result.rss_active = megabytes(pid)
    sent = await asyncio.gather(*work)
    result.cpu = used / took / streams
    result.late = max(times[-1] - times[0] - (len(frames) - 1) * step for times in sent)
    return result, sent


def added(sent: list[list[float]], arrivals: list[list[list[float]]], step: float) -> list[float]:
    """Milliseconds from a client's frame to the vendor's arrival of its last sample, streams matched by their start."""
    found: list[float] = []
    arrivals = sorted((item for item in arrivals if item), key=lambda item: item[0][1])
    for times, arrived in zip(sorted(sent, key=lambda item: item[0]), arrivals, strict=False):
        for seconds, moment in arrived:
            index = round(seconds / step) - 1
            if 0 <= index < len(times):
                found.append((moment - times[index]) * 1000)
    return found


def measure(app: str, server: str, codec: str, streams: int, seconds: float, **extra: str) -> Result:
    with serving(app, server, codec, **extra) as under_test:
        url = f"ws://127.0.0.1:{under_test.port}/listen?codec={codec}&sample_rate=16000"
        result, sent = asyncio.run(load(url, codec, streams, seconds, under_test.pid))
        time.sleep(1.0)
        lines = under_test.vendor_log.read_text().splitlines()
    arrivals = [json.loads(line) for line in lines if line.startswith("[")]
    result.up = added(sent, arrivals, FRAME_SECONDS[codec])
    return result


def percentile(values: Sequence[float], at: float) -> float:
    return float(np.percentile(values, at)) if len(values) else float("nan")


def line(name: str, result: Result, streams: int) -> str:
    return (
        f"{name:34} {result.cpu * 1000:7.2f} ms CPU per stream-second   in->vendor p50 {percentile(result.up, 50):5.1f}"
        f" p99 {percentile(result.up, 99):6.1f} ms   vendor->client p50 {percentile(result.down, 50):5.1f}"
        f" p99 {percentile(result.down, 99):6.1f} ms   words {result.words}"
        f"   {(result.rss_active - result.rss_idle) / streams * 1024:6.0f} kB per stream"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--servers", default="daphne,uvicorn,granian")
    parser.add_argument("--capacity", type=int, nargs="*", default=[], help="numbers of streams to try on daphne")
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS", help="only: 50 streams that reconnect")
    parser.add_argument("--codec", choices=list(FRAME_SECONDS), action="append")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")
    pin(os.getpid(), 1)
    import django

    django.setup()
    print(f"load average {os.getloadavg()[0]:.1f}, {options.streams} streams of {options.seconds:g} s, VAD gate off")
    if options.soak:
        from bench.soak import soak

        soak(options.soak)
        return 0
    for codec in options.codec or list(FRAME_SECONDS):
        relay = measure(RELAY, "daphne", codec, options.streams, options.seconds)
        print(line(f"{codec}: bare relay on daphne", relay, options.streams), flush=True)
        for server in options.servers.split(","):
            if importlib.util.find_spec(server) is None:
                print(f"{codec}: {server} is not installed")
                continue
            ours = measure(OURS, server, codec, options.streams, options.seconds)
            print(line(f"{codec}: /listen on {server}", ours, options.streams))
            print(
                f"{'':34} {ours.cpu / relay.cpu:.2f} times the relay; a core would carry {1 / ours.cpu:.0f} by its CPU",
                flush=True,
            )
        for streams in options.capacity:
            ours = measure(OURS, "daphne", codec, streams, options.seconds)
            print(
                line(f"{codec}: {streams} streams on daphne", ours, streams),
                f"  clients late {ours.late:.2f} s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
