"""``make test-topology``: 100 talks and 50 uploads, while each of four hosts is rolled, killed, cut off and given a
clock that is five minutes wrong."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.vendors.truth import Library, Recording
from tests.support.processes import Unavailable
from tests.support.services import missing
from tests.support.sound import write_wav
from tests.topology.account import Books, books, memories_of, plain, settled, told
from tests.topology.clients import Phone, Talker
from tests.topology.deployment import TRUTH, Host, Topology, topology

pytestmark = [
    pytest.mark.process,
    pytest.mark.extra,
    pytest.mark.timeout(1500),
    pytest.mark.skipif("TOPOLOGY_STREAMS" not in os.environ, reason="at length only: make test-topology"),
]
STREAMS = int(os.environ.get("TOPOLOGY_STREAMS", "100"))
UPLOADS = int(os.environ.get("TOPOLOGY_UPLOADS", "50"))
SECONDS = 40.0
WRONG_SECONDS = 300.0
CUT_SECONDS = 20.0
AT_ONCE = max(2, STREAMS // 6)
BETWEEN = 4.0
"""Seconds between two disturbances."""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    try:
        with topology(tmp_path_factory.mktemp("topology") / "t", webs=2, workers=2, clocks=True) as made:
            yield made
    except Unavailable as problem:
        missing("a topology of several hosts", problem)


def clip() -> Recording:
    [whole] = Library([]).load(TRUTH)
    pcm = whole.at(16000)[: round(SECONDS * 16000)]
    return Recording("clip", pcm, 16000, [word for word in whole.words if word.start < SECONDS])


async def _up(host: Host) -> None:
    until = time.monotonic() + 300
    while not await asyncio.to_thread(host.ready):
        assert time.monotonic() < until, host.log.read_text()[-3000:]
        await asyncio.sleep(0.3)


async def _roll(hosts: Topology, host: Host) -> None:
    await asyncio.to_thread(host.stop)
    host.start()
    await _up(host)


async def _kill(hosts: Topology, host: Host) -> None:
    await asyncio.to_thread(host.kill)
    await asyncio.sleep(2.0)
    host.start()
    await _up(host)


async def _cut(hosts: Topology, host: Host) -> None:
    if not hosts.network.separate:
        return  # said aloud when the network was made
    hosts.network.cut(host.name)
    await asyncio.sleep(CUT_SECONDS)
    hosts.network.mend(host.name)
    await _up(host)


async def _wrong_clock(hosts: Topology, host: Host) -> None:
    """In the middle of everything, ahead on one half of the hosts and behind on the other."""
    host.wrong_clock(0.0)
    host.faked = True
    await _roll(hosts, host)
    host.wrong_clock(WRONG_SECONDS if host.name.endswith("1") else -WRONG_SECONDS)
    await asyncio.sleep(10.0)
    host.wrong_clock(0.0)
    host.faked = False
    await _roll(hosts, host)


DISTURBANCES: dict[str, Callable[[Topology, Host], Any]] = {
    "rolled": _roll, "killed": _kill, "cut off": _cut, "wrong clock": _wrong_clock,
}  # fmt: skip


@dataclass(frozen=True)
class Disturbed:
    """A host was disturbed from one moment to another (``time.monotonic``)."""

    what: str
    begin: float
    end: float


async def _disturb(hosts: Topology, talkers: list[Talker]) -> list[Disturbed]:
    found = []
    while len(talkers) < AT_ONCE:
        await asyncio.sleep(0.5)
    wanted = os.environ.get("TOPOLOGY_ONLY", ",".join(DISTURBANCES)).split(",")
    for what, disturb in ((name, DISTURBANCES[name]) for name in wanted):
        for host in hosts.hosts.values():
            print(f"{time.strftime('%H:%M:%S')} {host.name} is {what}", flush=True)
            begin = time.monotonic()
            await disturb(hosts, host)
            found.append(Disturbed(f"{host.name} is {what}", begin, time.monotonic()))
            await asyncio.sleep(BETWEEN)
    return found


async def _talks(talkers: list[Talker], another: Callable[[int], Talker], disturbing: asyncio.Task[Any]) -> None:
    """``STREAMS`` talks, and more until the last disturbance is over; a sixth of them is under way at a time."""
    room = asyncio.Semaphore(AT_ONCE)
    talking: list[asyncio.Task[None]] = []

    async def one(talker: Talker) -> None:
        try:
            await talker.talk()
        finally:
            room.release()

    while len(talkers) < STREAMS or not disturbing.done():
        await room.acquire()
        if len(talking) < AT_ONCE:
            await asyncio.sleep(SECONDS / AT_ONCE)
        talkers.append(another(len(talkers)))
        talking.append(asyncio.create_task(one(talkers[-1])))
    await asyncio.gather(*talking)


def _upload(hosts: Topology, talker: Talker, wav: Path) -> str:
    """The app's recording of the talk: asked for once the memory is there, until it was taken."""
    phone = Phone(hosts.url, talker.uid)
    until = time.monotonic() + 300
    while not (listed := phone.call("GET", "/v1/memories", params={"limit": 5})):
        assert time.monotonic() < until, f"{talker.uid} has no memory"
        time.sleep(1.0)
    content = wav.read_bytes()
    # What a killed host recovers of a first second may be a memory of its own: the recording is not that one's.
    identity = str(max(listed, key=lambda item: len(item["transcript_segments"]))["id"])
    phone.call(
        "POST", f"/v1/memories/{identity}/post-processing", files={"file": ("talk.wav", content, "audio/wav")},
        patience=180.0,
    )  # fmt: skip
    return identity


def test_nothing_is_lost_and_nothing_twice(hosts: Topology, tmp_path: Path) -> None:
    recording = clip()
    pcm = recording.at(16000).tobytes()
    wav = write_wav(tmp_path / "talk.wav", pcm)
    talkers: list[Talker] = []
    uploaded: dict[str, str] = {}

    def another(number: int) -> Talker:
        # Who uploads a recording talks on while cut off: the recorder did not stop.
        return Talker(hosts.url, f"talker-{number}", pcm, waits=number >= UPLOADS)

    async def go() -> list[Disturbed]:
        disturbing = asyncio.create_task(_disturb(hosts, talkers))
        talking = asyncio.create_task(_talks(talkers, another, disturbing))
        while len(uploaded) < UPLOADS:  # a user who has said all has the recording made better
            await asyncio.sleep(1.0)
            for problem in (talking, disturbing):
                if problem.done():
                    problem.result()
            ready = [talker for talker in talkers[:UPLOADS] if talker.done and talker.uid not in uploaded][:4]
            done = await asyncio.gather(*(asyncio.to_thread(_upload, hosts, talker, wav) for talker in ready))
            uploaded.update(zip((talker.uid for talker in ready), done, strict=True))
        await talking
        return await disturbing

    for disturbed in asyncio.run(go()):
        there = sum(any(piece.lasted(disturbed.begin, disturbed.end) for piece in talker.pieces) for talker in talkers)
        assert there >= AT_ONCE // 2, f"only {there} talked while {disturbed.what}"
    settled(hosts, 240)
    total = Books()
    for talker in talkers:
        found = memories_of(Phone(hosts.url, talker.uid))
        if talker.uid in uploaded:
            _hold_upload(hosts, talker, uploaded[talker.uid], recording)
        own = books(talker, found, recording)
        if own.missing or own.twice or own.failed:
            print(own, told(talker, found))
        total.add(own)
    print(total)
    print(hosts.manage("worker-1", "hosts"))
    assert (total.missing, total.twice) == ([], [])
    assert total.off < 0.05
    assert total.failed == 0.0
    assert total.received <= total.sent + 0.5
    once = hosts.rows("SELECT uid FROM pipeline_postprocessingrun WHERE outcome NOT IN ('success', 'canceled')")
    assert once == []


def _hold_upload(hosts: Topology, talker: Talker, identity: str, recording: Recording) -> None:
    """The recording's transcript has every word of it, once."""
    phone = Phone(hosts.url, talker.uid)
    run = phone.call("GET", f"/v1/memories/{identity}/post-processing")
    assert (run["state"], run["outcome"]) == ("finished", "success"), run
    versions = phone.call("GET", f"/v1/memories/{identity}/transcripts/versions")
    said = [word for item in recording.words if item.end < SECONDS - 0.3 for word in plain(item.word)]
    # The same vendor has heard what failed of the talk, too: another version of its name.
    heard = [
        [word for item in version["segments"] for word in plain(item["text"])]
        for version in versions
        if "streaming" not in version["model"]
    ]
    # The last word may be cut by the end of the recording.
    whole = [words for words in heard if words[: len(said)] == said and len(words) <= len(said) + 1]
    models = [(version["model"], version.get("origin"), len(version["segments"])) for version in versions]
    assert whole, (
        f"said {' '.join(said)}, heard {[' '.join(words) for words in heard]}; versions {models}, run {run}, "
        f"{told(talker, memories_of(phone))}"
    )
