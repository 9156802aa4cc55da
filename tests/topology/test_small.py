"""Two web hosts and a worker host: one is killed in mid-sentence, another is rolled; nothing is lost, nothing twice."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from demo.vendors.truth import Library, Recording
from tests.support.processes import Unavailable
from tests.support.services import missing
from tests.topology.account import Books, books, memories_of, settled, told
from tests.topology.clients import Phone, Talker
from tests.topology.deployment import TRUTH, Topology, topology

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]
SECONDS = 14.0


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    try:
        with topology(tmp_path_factory.mktemp("topology") / "t", webs=2, workers=1) as made:
            yield made
    except Unavailable as problem:
        missing("a topology of several hosts", problem)


def clip() -> Recording:
    """The first seconds of the bundled conversation."""
    [whole] = Library([]).load(TRUTH)
    pcm = whole.at(16000)[: round(SECONDS * 16000)]
    return Recording("clip", pcm, 16000, [word for word in whole.words if word.start < SECONDS])


def test_a_killed_host_and_a_rolled_one_lose_no_word(hosts: Topology) -> None:
    recording = clip()
    talkers = [Talker(hosts.url, f"small-{number}", recording.at(16000).tobytes()) for number in range(4)]

    async def disturb() -> None:
        while not all(talker.pieces and talker.pieces[-1].end > 3.0 for talker in talkers):
            await asyncio.sleep(0.1)
        hosts.hosts["web-1"].kill()  # half of them were there: nginx takes turns
        await asyncio.sleep(2.0)
        hosts.hosts["web-1"].start()
        while not await asyncio.to_thread(hosts.hosts["web-1"].ready):
            await asyncio.sleep(0.2)
        process = hosts.hosts["web-2"].process
        assert process is not None
        process.send_signal(signal.SIGTERM)

    async def go() -> None:
        await asyncio.gather(disturb(), *(talker.talk() for talker in talkers))

    asyncio.run(go())
    settled(hosts, 180)
    total = Books()
    for talker in talkers:
        found = memories_of(Phone(hosts.url, talker.uid))
        own = books(talker, found, recording)
        if own.missing or own.twice:
            print(own.missing, own.twice, told(talker, found))
        total.add(own)
    print(total)
    assert (total.missing, total.twice) == ([], [])
    assert total.off < 0.05
    assert total.failed == 0.0
    assert total.connections > len(talkers)  # they were cut
    assert hosts.rows("SELECT count(*) FROM hosts_hostjournal WHERE state = 'handed'") != [(0,)]
    assert not list((hosts.folder / "web-1" / "journal").glob("[0-9a-f]*/*"))  # all of them went to the store
