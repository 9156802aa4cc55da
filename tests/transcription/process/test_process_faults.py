"""What happens to the web process and its clients: nothing that was received is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.transcription.process.conftest import CHUNK, PCM, SECONDS, WORDS, Heard, Web, adds_up, speak
from tests.vendors.server import VendorServer

pytestmark = pytest.mark.process

RECOVER = "from transcription.reconcile import recover_sessions as r; print('recovered', r())"
JOURNAL = (
    "from transcription import journal; from transcription.journal.reader import seconds_on_disk as s;"
    "print('journal', [(e.meta.state, round(s(e), 2), bool(e.meta.conversation)) for e in journal.sessions()])"
)


@pytest.fixture
def own(tmp_path: Path, vendors: VendorServer) -> Web:
    """A process that may be killed."""
    server = Web(tmp_path, **vendors.urls, OMI_LIVE="deepgram")
    server.manage("migrate")
    server.start()
    yield server
    server.stop()


def test_kill_9_in_the_middle_loses_no_more_than_the_last_batch(own: Web) -> None:
    """omi-protocol 4.3 no. 29."""

    async def work() -> float:
        async with own.socket() as connection:
            heard = Heard(connection)
            await speak(connection, PCM[: 12 * 32000], speed=4)
            await asyncio.sleep(0.3)
            own.stop(signal.SIGKILL)
            await heard.task
        return 12.0

    sent = asyncio.run(asyncio.wait_for(work(), 40))
    out = own.manage("shell", "-c", JOURNAL)
    assert f"('open', {sent}" in out, out
    assert "recovered 1" in own.manage("shell", "-c", RECOVER)
    assert "recovered 0" in own.manage("shell", "-c", RECOVER)
    assert f"('finished', {sent}, True)" in own.manage("shell", "-c", JOURNAL)


def test_a_living_session_is_not_taken_for_an_orphan(own: Web) -> None:
    async def work() -> str:
        async with own.socket() as connection:
            await speak(connection, PCM[: 3 * 32000])
            return await asyncio.to_thread(own.manage, "shell", "-c", RECOVER)

    assert "recovered 0" in asyncio.run(asyncio.wait_for(work(), 60))


def test_sigterm_tells_a_client_in_mid_sentence_to_come_back_and_keeps_everything(own: Web) -> None:
    """The client goes on sending until it is told: TCP must not reset the connection before it has read the code."""

    async def work() -> tuple[Heard, float, float]:
        async with own.socket() as connection:
            heard = Heard(connection)
            await speak(connection, PCM[: 10 * 32000])
            own.send_signal(signal.SIGTERM)
            sent = 10.0
            with contextlib.suppress(ConnectionClosed):
                for at in range(10 * 32000, len(PCM), CHUNK):
                    await connection.send(PCM[at : at + CHUNK])
                    sent += CHUNK / 32000
                    await asyncio.sleep(0.02)
            await asyncio.wait_for(heard.task, 20)
        return heard, 10.0, sent

    heard, before, sent = asyncio.run(asyncio.wait_for(work(), 60))
    assert heard.code == 1012
    assert own.stop() == 0
    [account] = own.ended(1)
    assert account["reason"] == "drain"
    assert before <= account["received"] <= sent
    adds_up(account, account["received"])
    assert f"('finished', {account['received']}, True)" in own.manage("shell", "-c", JOURNAL)


def test_a_client_that_vanishes_without_closing_loses_nothing(web: Web) -> None:
    before = len(web.logged("session_ended"))

    async def work() -> None:
        connection = await web.socket("vanish")
        await speak(connection, PCM[: 8 * 32000])
        await asyncio.sleep(0.2)
        connection.transport.abort()

    asyncio.run(asyncio.wait_for(work(), 40))
    adds_up(web.ended(before + 1)[-1], 8.0)


def test_a_client_that_comes_back_within_the_gap_goes_on_and_later_begins_anew(
    tmp_path: Path, vendors: VendorServer
) -> None:
    """The gap of 120 s as 5 s: back after 1 s, after 3 s, and after more than it."""
    web = Web(tmp_path, **vendors.urls, OMI_LIVE="deepgram", OMI_GAP_SECONDS="5")
    web.manage("migrate")
    web.start()

    async def visit() -> str:
        async with web.socket("back") as connection:
            heard = Heard(connection)
            await speak(connection, PCM[: 6 * 32000], speed=6)
            await heard.until(lambda: heard.of("new_processing_memory_created"))
        return str(heard.of("new_processing_memory_created")[0]["processing_memory_id"])

    async def work() -> list[str]:
        ids = []
        for pause in (0.0, 1.0, 3.0, 13.0):
            await asyncio.sleep(pause)
            ids.append(await visit())
        return ids

    try:
        first, second, third, last = asyncio.run(asyncio.wait_for(work(), 120))
    finally:
        web.stop()
    assert first == second == third
    assert last != first


def test_a_thousand_clients_at_once_are_all_served(web: Web) -> None:
    async def one(number: int, gate: asyncio.Semaphore) -> str:
        async with gate, web.socket(f"crowd-{number}") as connection:
            await connection.send(PCM[:CHUNK_SMALL])
            message = json.loads(await asyncio.wait_for(connection.recv(), 60))
            return str(message.get("status"))

    async def work() -> list[str]:
        gate = asyncio.Semaphore(200)
        return await asyncio.gather(*(one(number, gate) for number in range(1000)))

    began = time.monotonic()
    assert set(asyncio.run(asyncio.wait_for(work(), 150))) == {"ready"}
    print(f"1000 clients in {time.monotonic() - began:.1f} s")


CHUNK_SMALL = 640


def test_finish_makes_the_memory_now_and_the_socket_goes_on(web: Web) -> None:
    web.close_breakers()

    async def work() -> Heard:
        async with web.socket("finish") as connection:
            heard = Heard(connection)
            for _ in range(2):
                await speak(connection)
                await connection.send(json.dumps({"type": "finish"}))
                await heard.until(lambda: len(heard.words) in (len(WORDS), 2 * len(WORDS)))
            await heard.until(lambda: len(heard.of("new_memory_creating")) >= 1)
        return heard

    before = len(web.logged("session_ended"))
    heard = asyncio.run(asyncio.wait_for(work(), 80))
    assert heard.words == WORDS * 2
    for account in web.ended(before + 2)[-2:]:
        adds_up(account, SECONDS)
