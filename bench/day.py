"""``make load``: a mixed day of the app against real servers on loopback, with more users at each level.

Each user streams live audio all the time, ends a conversation now and then, and lists, reads, searches, asks, looks at
recaps and uploads recordings at the rates of ``RATES``. It prints what a user-hour costs (processor time, bytes, rows)
and what gives way first. Vendors are simulated in this process; everything is bounded: levels, seconds, requests.

Web server, worker, vendors and clients share this machine, so the number of users says little about a server of its
own; the cost of a user-hour travels better. ``DATABASE_URL`` tries another database than SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.servers import cpu_seconds, free_port, megabytes, process
from bench.settings import SECRET_KEY
from demo.servers import Installation, installation
from demo.vendors.server import VendorServer
from demo.vendors.truth import Library

ROOT = Path(__file__).resolve().parents[1]
RECORDING = ROOT / "demo" / "recordings" / "conversation.json"
RATES = {"list": 60, "read": 60, "search": 20, "find": 10, "ask": 6, "recaps": 10, "upload": 4}
"""Requests of one user in a busy hour."""
CONVERSATIONS = 12
"""Conversations that one user ends in an hour."""
CHUNK, CHUNK_SECONDS = 3200, 0.1
READ_SECONDS, LAG_SECONDS, QUEUE_SECONDS = 2.0, 2.0, 120.0
"""A level holds with p95 of reads, p99 of words and of the streams' lag, and the oldest work below these."""


@dataclass
class Seen:
    """What one level showed."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    words: list[float] = field(default_factory=list)


class Day:
    """The users and what they see. ``seen`` is replaced at each level."""

    def __init__(self, own: Installation, audio: bytes, wav: bytes) -> None:
        self.own, self.audio, self.wav = own, audio, wav
        self.seen = Seen()
        self.tasks: list[asyncio.Task[None]] = []
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        self.http = httpx.AsyncClient(base_url=own.url, timeout=30.0, limits=limits)

    def add(self, number: int) -> None:
        from omi.accounts.tokens import mint

        token = mint(f"day-{number}")
        self.tasks += [asyncio.create_task(self._stream(token, number)), asyncio.create_task(self._use(token))]

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.http.aclose()

    async def _stream(self, token: str, number: int) -> None:
        url = self.own.url.replace("http", "ws", 1) + "/listen?codec=pcm16&sample_rate=16000"
        await asyncio.sleep(random.uniform(0, 2))
        while True:
            try:
                async with connect(
                    url, additional_headers={"Authorization": f"Bearer {token}"}, max_size=None
                ) as socket:
                    reading = asyncio.create_task(self._read(socket))
                    try:
                        await self._speak(socket, number)
                    finally:
                        reading.cancel()
            except (OSError, TimeoutError, ConnectionClosed) as error:
                self.seen.errors[f"stream: {type(error).__name__}"] += 1
                await asyncio.sleep(2)

    async def _speak(self, socket: ClientConnection, number: int) -> None:
        began, sent = time.monotonic(), 0
        at = number * 16000 * 2 % len(self.audio)
        ends = random.expovariate(CONVERSATIONS / 3600)
        while True:
            await socket.send(self.audio[at : at + CHUNK])
            at = (at + CHUNK) % (len(self.audio) - CHUNK)
            sent += 1
            wait = began + sent * CHUNK_SECONDS - time.monotonic()
            self.seen.lags.append(max(0.0, -wait))
            if sent * CHUNK_SECONDS > ends:
                ends += random.expovariate(CONVERSATIONS / 3600)
                await socket.send('{"type": "finish"}')
            await asyncio.sleep(max(0.0, wait))

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            now = time.monotonic()
            for said in re.findall(r"\d+/[\d.]+/([\d.]+)/[\d.]+", str(message)) if str(message)[:1] == "[" else ():
                self.seen.words.append(now - float(said))

    async def _use(self, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        memories = [await self._create(headers)]
        names, weights = list(RATES), list(RATES.values())
        while True:
            await asyncio.sleep(random.expovariate(sum(weights) / 3600))
            [kind] = random.choices(names, weights)
            if kind == "upload":
                memories.append(await self._create(headers))
            await self._one(kind, headers, memories[-1])

    async def _create(self, headers: dict[str, str]) -> str:
        began = datetime.now(UTC) - timedelta(hours=1)
        segment = {
            "text": "We meet on Monday at the station.",
            "speaker": "SPEAKER_00",
            "is_user": True,
            "start": 0.0,
            "end": 4.0,
        }
        body = {"started_at": began.isoformat(), "finished_at": (began + timedelta(seconds=60)).isoformat(),
                "language": "en", "transcript_segments": [segment]}  # fmt: skip
        path = "/v1/memories?trigger_integrations=false"
        answer = await self._ask("create", "POST", path, headers=headers, json=body)
        return str(answer["memory"]["id"]) if answer else ""

    async def _one(self, kind: str, headers: dict[str, str], memory: str) -> None:
        made: dict[str, tuple[str, str, dict[str, Any]]] = {
            "list": ("GET", "/v1/memories?limit=50", {}),
            "read": ("GET", f"/v1/memories/{memory}", {}),
            "search": ("POST", "/v1/memories/search", {"json": {"query": "the station on Monday"}}),
            "find": ("GET", "/v1/search?q=station", {}),
            "ask": ("POST", "/v1/ask", {"json": {"question": "Where do we meet on Monday?"}}),
            "recaps": ("GET", "/v1/recaps", {}),
            "upload": ("POST", f"/v1/memories/{memory}/post-processing", {"files": {"file": ("talk.wav", self.wav)}}),
        }
        method, path, more = made[kind]
        await self._ask(kind, method, path, headers=headers, **more)

    async def _ask(self, kind: str, method: str, path: str, **more: Any) -> Any:
        began = time.monotonic()
        try:
            answer = await self.http.request(method, path, **more)
        except httpx.HTTPError as error:
            self.seen.errors[f"{kind}: {type(error).__name__}"] += 1
            return None
        self.seen.times[kind].append(time.monotonic() - began)
        if answer.status_code >= 400:
            self.seen.errors[f"{kind}: {answer.status_code}"] += 1
            return None
        return answer.json() if answer.content else None


def p(values: list[float], percent: float) -> float:
    """Nearest rank; 0 where there is nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def stored(folder: Path) -> tuple[int, int]:
    """Bytes in the data folder, and rows of all tables where they are in SQLite."""
    size = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    database = folder / "omi.sqlite3"
    if not database.exists():
        return size, 0
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30) as rows:
        names = [name for (name,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        virtual = {name for (name,) in rows.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%'")}
        return size, sum(
            rows.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names if name not in virtual
        )


async def oldest(day: Day) -> float:
    told = (await day.http.get("/metrics")).text
    found = re.search(r"^memory_postprocessing_oldest_seconds (\S+)", told, re.MULTILINE)
    return float(found[1]) if found else 0.0


def broken(seen: Seen, queue: float) -> list[str]:
    """What does not hold at this level, the worst first."""
    reads = [taken for kind in ("list", "read", "recaps") for taken in seen.times[kind]]
    found = [f"{count} x {what}" for what, count in seen.errors.most_common()]
    for what, value, limit in (
        ("reads p95", p(reads, 95), READ_SECONDS), ("streams' lag p99", p(seen.lags, 99), LAG_SECONDS),
        ("words p99", p(seen.words, 99), LAG_SECONDS), ("oldest work", queue, QUEUE_SECONDS),
    ):  # fmt: skip
        if value > limit:
            found.append(f"{what} {value:.1f} s (limit {limit:g})")
    return found


async def run(own: Installation, levels: list[int], seconds: float, audio: bytes, wav: bytes) -> dict[str, Any]:
    day, users, held, gave_way = Day(own, audio, wav), 0, 0, ""
    cost: dict[str, float] = {}
    pids = {"web": own.web_pid, "worker": own.worker_pid}
    print(
        f"{'users':>5} {'web':>6} {'worker':>6} {'MB':>5}  p95 s: "
        + " ".join(f"{kind:>6}" for kind in RATES)
        + "   word p99   lag p99  queue"
    )
    try:
        for level in levels:
            for number in range(users, level):
                day.add(number)
            users = level
            await asyncio.sleep(min(10.0, seconds / 3))  # connecting is no part of the hour
            day.seen = seen = Seen()
            cpu, (size, rows), began = (
                {name: cpu_seconds(pid) for name, pid in pids.items()},
                stored(own.folder),
                time.monotonic(),
            )
            await asyncio.sleep(seconds)
            hours = users * (time.monotonic() - began) / 3600
            used = {name: cpu_seconds(pid) - cpu[name] for name, pid in pids.items()}
            grown, queue = stored(own.folder), await oldest(day)
            wrong = broken(seen, queue)
            print(
                f"{users:5} {used['web'] / seconds:6.0%} {used['worker'] / seconds:6.0%} {megabytes(own.web_pid):5.0f}"
                + " " * 9
                + " ".join(f"{p(seen.times[kind], 95):6.2f}" for kind in RATES)
                + f"   {p(seen.words, 99):8.2f}  {p(seen.lags, 99):8.2f}  {queue:5.0f}   {'; '.join(wrong) or 'held'}",
                flush=True,
            )
            if wrong:
                gave_way = f"{users} users: {'; '.join(wrong)}"
                break
            held = users
            cost = {f"{name}_cpu_s": round(value / hours, 1) for name, value in used.items()}
            cost |= {"bytes": round((grown[0] - size) / hours), "rows": round((grown[1] - rows) / hours)}
    finally:
        await day.stop()
    return {"held": held, "gave_way_first": gave_way or "nothing", "per_user_hour": cost, "load": os.getloadavg()[0]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", default="5,10,20,40,80", help="numbers of users, rising")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each level (at most 120)")
    options = parser.parse_args()
    levels = sorted({max(1, min(1000, int(text))) for text in options.levels.split(",")})[:7]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")
    import django

    with ExitStack() as open_things:
        folder = Path(open_things.enter_context(tempfile.TemporaryDirectory()))
        os.environ["OMI_DATA_DIR"] = str(folder / "clients")
        django.setup()
        from demo import material

        recordings = Library([]).load(RECORDING)
        vendors = open_things.enter_context(VendorServer(recordings, vendors=("soniox",)))
        port = free_port()
        log = open_things.enter_context((folder / "vendor.log").open("w"))
        live = ["-m", "bench.vendor", str(port), "0.3"]
        open_things.enter_context(process(live, {**os.environ, "PYTHONPATH": str(ROOT)}, port, 1, log))
        settings = {
            **vendors.urls, "DJANGO_SETTINGS_MODULE": "omi.settings", "SECRET_KEY": SECRET_KEY,
            "OMI_LOG_LEVEL": "ERROR",
            "OMI_LIVE": "deepgram", "DEEPGRAM_API_KEY": "load", "DEEPGRAM_URL": f"http://127.0.0.1:{port}",
            "OMI_PRERECORDED": "soniox", "OMI_VAD_GATE": "false",
        }  # fmt: skip
        own = open_things.enter_context(installation(folder / "data", settings=settings))
        recording = material.bundled().recording
        found = asyncio.run(
            run(own, levels, min(120.0, options.seconds), material.pcm(recording), recording.read_bytes())
        )
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
