"""``python -m bench.listen --soak SECONDS``: 50 streams that come, go and break off; what grows in the server?

Resident memory, descriptors, threads from outside; asyncio tasks and garbage-collected objects from inside. Memory is
judged by the slope of its second half, per hour and per connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import urllib.request
from dataclasses import dataclass
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

from bench.servers import INSIDE, descriptors, megabytes, serving, threads

STREAMS = 50


@dataclass(frozen=True, slots=True)
class Sample:
    at: float
    done: int
    megabytes: float
    descriptors: int
    threads: int
    tasks: int
    objects: int

    def __str__(self) -> str:
        return (
            f"{self.at:6.0f} s  {self.done:6} ended  {self.megabytes:6.1f} MB  {self.descriptors:4} descriptors"
            f"  {self.threads:3} threads  {self.tasks:4} tasks  {self.objects} objects"
        )


def soak(seconds: float) -> None:
    """Streams live 8 to 20 s, half of them are cut off without a close; each is followed by the next of its user. One
    in five is Opus."""
    from bench.load import FRAME_SECONDS, frames_of

    audio = {codec: frames_of(codec, 20.0) for codec in FRAME_SECONDS}
    rng = np.random.default_rng(2)
    ended = 0

    async def stream(number: int, url: str, until: float) -> None:
        nonlocal ended
        from omi.accounts.tokens import mint

        codec = "pcm16" if number % 5 else "opus"
        frames, step = audio[codec], FRAME_SECONDS[codec]
        while time.monotonic() < until:
            headers = {"Authorization": f"Bearer {mint(f'soak-{number}')}"}
            async with connect(
                f"{url}&codec={codec}", additional_headers=headers, compression=None, open_timeout=60
            ) as server:
                reader = asyncio.create_task(_drain(server))
                began = time.monotonic()
                for index in range(round(float(rng.uniform(8.0, 20.0)) / step) - 1):
                    wait = began + index * step - time.monotonic()
                    if wait > 0:
                        await asyncio.sleep(wait)
                    await server.send(frames[index])
                if rng.random() < 0.5:
                    server.transport.abort()
                reader.cancel()
            ended += 1

    async def sample(port: int, pid: int, began: float) -> Sample:
        found = await asyncio.to_thread(_inside, port)
        taken = Sample(
            time.monotonic() - began,
            ended,
            megabytes(pid),
            descriptors(pid),
            threads(pid),
            found["tasks"],
            found["objects"],
        )
        print(f"  {taken}   {found['by_name']}", flush=True)
        return taken

    async def work(port: int, pid: int) -> list[Sample]:
        url = f"ws://127.0.0.1:{port}/listen?sample_rate=16000"
        began = time.monotonic()
        running = [asyncio.create_task(stream(number, url, began + seconds)) for number in range(STREAMS)]
        seen = []
        while time.monotonic() - began < seconds:
            await asyncio.sleep(min(60.0, seconds / 8))
            seen.append(await sample(port, pid, began))
        await asyncio.gather(*running)
        await asyncio.sleep(40.0)  # sessions end, threads and buffers of those that broke off too
        print("all have gone:")
        await sample(port, pid, began)
        return seen

    with serving(INSIDE) as under_test:
        seen = asyncio.run(work(under_test.port, under_test.pid))
    report([item for item in seen if item.at <= seconds])


def report(seen: list[Sample]) -> None:
    half = seen[len(seen) // 2 :]
    hours = np.array([item.at / 3600 for item in half])
    for name in ("megabytes", "descriptors", "threads", "tasks", "objects"):
        values = np.array([float(getattr(item, name)) for item in half])
        slope = float(np.polyfit(hours, values, 1)[0]) if len(half) > 1 else float("nan")
        print(f"soak: {name:12} {values[0]:9.1f} to {values[-1]:9.1f} in the second half, slope {slope:+9.1f} an hour")
    connections = half[-1].done - half[0].done
    grown = (half[-1].megabytes - half[0].megabytes) * 1024 / max(1, connections)
    print(f"soak: {half[-1].done} connections in all; {grown:+.2f} kB per connection in the second half")


def _inside(port: int) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/bench/inside", timeout=30) as answer:
        return json.load(answer)


async def _drain(server: Any) -> None:
    with contextlib.suppress(Exception):
        async for _ in server:
            pass
