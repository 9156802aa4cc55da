"""``make bench-listen``: what one live stream costs, against a bare relay in the same language and the same run.

The server under test has one core, the simulated vendor and the clients have the other. CPU is read from the process,
so the ratio holds on a busy machine; latencies and capacity do not, and are printed with the machine's load.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

ROOT = Path(__file__).resolve().parents[1]
WARM_UP = 2.0
"""Seconds of a run that are not counted: the first session of a process imports what it needs."""
TICK = os.sysconf("SC_CLK_TCK")
FRAME_SECONDS = {"pcm16": 0.1, "opus": 0.01}
SERVERS = {
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}", "{app}"],
    "uvicorn": ["-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning", "{app}"],
    "granian": ["-m", "granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", "{port}", "{app}"],
}


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


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def family(pid: int) -> list[int]:
    """A process and all below it: granian serves from a child."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(found for child in children for found in family(int(child)))]


def cpu_seconds(pid: int) -> float:
    used = 0
    for member in family(pid):
        values = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
        used += int(values[11]) + int(values[12])
    return used / TICK


def megabytes(pid: int) -> float:
    lines = [line for member in family(pid) for line in Path(f"/proc/{member}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def pin(pid: int, core: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    with contextlib.suppress(OSError):
        os.sched_setaffinity(pid, {cores[core % len(cores)]})


@contextlib.contextmanager
def process(command: Sequence[str], environment: dict[str, str], port: int, core: int, out: Any) -> Iterator[Any]:
    started = subprocess.Popen([sys.executable, *command], env=environment, cwd=ROOT, stdout=out, stderr=out)
    try:
        pin(started.pid, core)
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if started.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command} did not start")
            time.sleep(0.1)
        yield started
    finally:
        started.terminate()
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait(5)


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
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "vendor.log").open("w+") as log:
        vendor_port, port = free_port(), free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OMI_", "DJANGO_"))},
            "OMI_DATA_DIR": folder,
            "OMI_LOG_LEVEL": "ERROR",
            "OMI_LIVE": "deepgram",
            "OMI_VAD_GATE": "false",
            "DEEPGRAM_API_KEY": "bench",
            "DEEPGRAM_URL": f"http://127.0.0.1:{vendor_port}"
            + ("/packets" if codec == "opus" and "relay" in app else ""),
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "PYTHONPATH": str(ROOT),
            **extra,
        }
        if "relay" not in app:
            subprocess.run(
                [sys.executable, "-m", "django", "migrate", "-v0"],
                env=environment,
                cwd=ROOT,
                check=True,
                capture_output=True,
            )
        command = [part.format(port=port, app=app) for part in SERVERS[server]]
        with process(["-m", "bench.vendor", str(vendor_port)], environment, vendor_port, 1, log):  # noqa: SIM117  the second needs the first
            with process(command, environment, port, 0, subprocess.DEVNULL) as under_test:
                url = f"ws://127.0.0.1:{port}/listen?codec={codec}&sample_rate=16000"
                result, sent = asyncio.run(load(url, codec, streams, seconds, under_test.pid))
                time.sleep(1.0)
        log.seek(0)
        arrivals = [json.loads(line) for line in log.read().splitlines() if line.startswith("[")]
        result.up = added(sent, arrivals, FRAME_SECONDS[codec])
        return result


@contextlib.contextmanager
def serving(**extra: str) -> Iterator[tuple[int, int]]:
    """A vendor and a daphne with /listen: (port, process id)."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "vendor.log").open("w+") as log:
        vendor_port, port = free_port(), free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OMI_", "DJANGO_"))},
            "OMI_DATA_DIR": folder,
            "OMI_LOG_LEVEL": "ERROR",
            "OMI_LIVE": "deepgram",
            "DEEPGRAM_API_KEY": "bench",
            "DEEPGRAM_URL": f"http://127.0.0.1:{vendor_port}",
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "PYTHONPATH": str(ROOT),
            **extra,
        }
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=environment, cwd=ROOT, check=True)
        command = [part.format(port=port, app="omi.asgi:application") for part in SERVERS["daphne"]]
        with process(["-m", "bench.vendor", str(vendor_port)], environment, vendor_port, 1, log):  # noqa: SIM117
            with process(command, environment, port, 0, subprocess.DEVNULL) as under_test:
                yield port, under_test.pid


def soak(seconds: float, streams: int = 50) -> None:
    """Streams that live 8 to 20 s, half of them cut off without a close, each followed by the next one's."""
    from omi.accounts.tokens import mint

    rng = np.random.default_rng(2)
    frames = frames_of("pcm16", 20.0)
    done = 0

    async def stream(number: int, url: str, until: float) -> None:
        nonlocal done
        while time.monotonic() < until:
            headers = {"Authorization": f"Bearer {mint(f'soak-{number}')}"}
            async with connect(url, additional_headers=headers, compression=None, open_timeout=60) as server:
                reader = asyncio.create_task(_drain(server))
                began = time.monotonic()
                for index in range(int(rng.integers(80, 200))):
                    await asyncio.sleep(max(0.0, began + index * 0.1 - time.monotonic()))
                    await server.send(frames[index])
                if rng.random() < 0.5:
                    server.transport.abort()
                reader.cancel()
            done += 1

    async def work(port: int, pid: int) -> list[tuple[float, float]]:
        url = f"ws://127.0.0.1:{port}/listen?codec=pcm16&sample_rate=16000"
        began = time.monotonic()
        running = [asyncio.create_task(stream(number, url, began + seconds)) for number in range(streams)]
        seen = []
        while time.monotonic() - began < seconds:
            await asyncio.sleep(min(30.0, seconds / 6))
            seen.append((time.monotonic() - began, megabytes(pid)))
            print(f"  {seen[-1][0]:5.0f} s  {seen[-1][1]:6.1f} MB  {done} connections ended", flush=True)
        await asyncio.gather(*running)
        await asyncio.sleep(5.0)
        seen.append((time.monotonic() - began, megabytes(pid)))
        return seen

    with serving() as (port, pid):
        seen = asyncio.run(work(port, pid))
    half = [size for moment, size in seen if moment > seconds / 2]
    growth = (half[-1] - half[0]) / max(1, done / 2) * 1024
    print(f"soak: {done} connections; second half {half[0]:.1f} to {half[-1]:.1f} MB ({growth:+.1f} kB per connection)")


async def _drain(server: Any) -> None:
    with contextlib.suppress(Exception):
        async for _ in server:
            pass


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
        soak(options.soak)
        return 0
    for codec in options.codec or list(FRAME_SECONDS):
        relay = measure("bench.relay:application", "daphne", codec, options.streams, options.seconds)
        print(line(f"{codec}: bare relay on daphne", relay, options.streams), flush=True)
        for server in options.servers.split(","):
            if importlib.util.find_spec(server) is None:
                print(f"{codec}: {server} is not installed")
                continue
            ours = measure("omi.asgi:application", server, codec, options.streams, options.seconds)
            print(line(f"{codec}: /listen on {server}", ours, options.streams))
            print(
                f"{'':34} {ours.cpu / relay.cpu:.2f} times the relay; a core would carry {1 / ours.cpu:.0f} by its CPU",
                flush=True,
            )
        for streams in options.capacity:
            ours = measure("omi.asgi:application", "daphne", codec, streams, options.seconds)
            print(
                line(f"{codec}: {streams} streams on daphne", ours, streams),
                f"  clients late {ours.late:.2f} s",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
