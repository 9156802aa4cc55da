"""``make bench-listen``: what one live stream costs, against a bare relay in the same language and the same run.

Then ``/listen`` as it is used, with the product's own sink, and what a minute of a conversation costs an hour later.

The server under test has one core, the simulated vendor and the clients have the other. CPU is read from the process,
so the ratio holds on a busy machine; waits and the number of streams carried (``--drive``) do not: they are printed
with the machine's load, and how late the load generator itself was.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from bench.load import FRAME_SECONDS, Result, long_conversation, measure, p
from bench.servers import OURS, RELAY, pin

START = {"pcm16": 200, "opus": 50}
"""Streams at which ``--drive`` begins."""


def line(name: str, result: Result) -> str:
    return (
        f"{name:32} {result.cpu * 1000:6.2f} ms CPU per stream-second"
        f"   in->vendor p50 {p(result.up, 50):5.1f} p99 {p(result.up, 99):6.1f} ms"
        f"   vendor->client p50 {p(result.down, 50):5.1f} p99 {p(result.down, 99):6.1f} ms"
        f"   word p50 {p(result.words, 50):5.1f} p99 {p(result.words, 99):6.1f} ms"
        f"   dropped {result.dropped} frames, {result.missing} words"
        f"   {result.idle_kb:.0f} kB idle, {result.active_kb:.0f} kB active"
        f"   generator late {result.late * 1000:.1f} ms, load {os.getloadavg()[0]:.1f}"
    )


def drive(server: str, codec: str, start: int, seconds: float, tries: int) -> int:
    """Raise the number of streams by a quarter until one run after another fails, then halve the step once. Carried:
    nothing dropped and both p99 waits under 50 ms."""

    def carries(streams: int) -> bool:
        for _ in range(tries):
            result = measure(OURS, server, codec, streams, seconds)
            print(line(f"{codec}: {streams} on {server}: {'yes' if result.carried else 'no'}", result), flush=True)
            if result.carried:
                return True
        return False

    best, streams = 0, start
    while carries(streams):
        best, streams = streams, streams * 5 // 4
    while not best and streams > 10:
        streams = streams * 3 // 4
        best = streams if carries(streams) else 0
    between = best * 9 // 8
    if best and between < streams and carries(between):
        best = between
    print(f"{codec}: {server} carried {best} streams in real time on one core", flush=True)
    return best


def compare(codec: str, servers: str, streams: int, seconds: float) -> None:
    relay = measure(RELAY, "daphne", codec, streams, seconds)
    print(line(f"{codec}: bare relay on daphne", relay), flush=True)
    for server in servers.split(","):
        if importlib.util.find_spec(server) is None:
            print(f"{codec}: {server} is not installed")
            continue
        ours = measure(OURS, server, codec, streams, seconds)
        print(line(f"{codec}: /listen on {server}", ours))
        print(f"{'':32} {ours.cpu / relay.cpu:6.2f} times the relay", flush=True)


def compare_stored(codec: str, streams: int, seconds: float) -> None:
    """``/listen`` as it is used: with the product's own sink, journal and database."""
    relay = measure(RELAY, "daphne", codec, streams, seconds)
    print(line(f"{codec}: bare relay on daphne", relay), flush=True)
    ours = measure(OURS, "daphne", codec, streams, seconds, stored=True)
    print(line(f"{codec}: /listen, all stored", ours))
    print(f"{'':32} {ours.cpu / relay.cpu:6.2f} times the relay", flush=True)


def hour(streams: int, minutes: int) -> None:
    """What a minute costs at the beginning of a conversation, and an hour later."""
    first, last = long_conversation(streams, minutes)
    for name, found in (("minute 1", first), (f"minute {minutes}", last)):
        print(
            f"pcm16: stored, {name:21} {found.cpu * 1000:6.2f} ms CPU per stream-second"
            f"   {found.written_kb:.0f} kB written per stream-minute"
        )
    print(f"{'':32} {last.cpu / first.cpu:6.2f} times the first minute", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--servers", default="daphne,uvicorn,granian")
    parser.add_argument("--codec", choices=list(FRAME_SECONDS), action="append")
    parser.add_argument("--drive", action="store_true", help="only: how many streams each server carries")
    parser.add_argument("--start", type=int, default=0, help="streams at which --drive begins")
    parser.add_argument("--tries", type=int, default=2, help="runs before --drive gives a number up")
    parser.add_argument(
        "--stored", action="store_true", help="only: with the product's own sink, and a long conversation"
    )
    parser.add_argument("--minutes", type=int, default=60, help="length of the long conversation; 0: none")
    parser.add_argument("--soak", type=float, default=0.0, metavar="SECONDS", help="only: 50 streams that reconnect")
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
    if not options.drive:
        compare_stored("pcm16", options.streams, options.seconds)
        if options.minutes:
            hour(min(10, options.streams), options.minutes)
    for codec in () if options.stored else options.codec or list(FRAME_SECONDS):
        if options.drive:
            for server in options.servers.split(","):
                drive(server, codec, options.start or START[codec], options.seconds, options.tries)
        else:
            compare(codec, options.servers, options.streams, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
