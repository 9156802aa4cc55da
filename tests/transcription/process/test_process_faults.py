"""What happens to the web process and its clients: nothing that was received is lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from demo.vendors.server import VendorServer
from tests.transcription.process.conftest import CHUNK, FULL_SCALE, PCM, SECONDS, WORDS, Heard, Web, adds_up, speak

pytestmark = pytest.mark.process

RECOVER = "from transcription.session.recovery import recover_sessions as r; print('recovered', r())"


@pytest.fixture
def own(tmp_path: Path, vendors: VendorServer) -> Web:
    """A process that may be killed."""
    server = Web(tmp_path, **vendors.urls, OMI_LIVE="deepgram")
    server.start()
    yield server
    server.stop()


def test_kill_9_in_the_middle_loses_no_more_than_the_last_batch(own: Web) -> None:

    async def work() -> float:
        async with own.socket() as connection:
            heard = Heard(connection)
            await speak(connection, PCM[: 12 * 32000], speed=4)
            await asyncio.sleep(0.3)
            own.stop(signal.SIGKILL)
            await heard.task
        return 12.0

    sent = asyncio.run(asyncio.wait_for(work(), 40))
    out = own.journal()
    assert f"('open', {sent}" in out, out
    assert "recovered 1\nrecovered 0" in own.manage("shell", "-c", f"{RECOVER}; print('recovered', r())")
    assert f"('finished', {sent}, True)" in own.journal()


def test_a_living_session_is_not_taken_for_an_orphan(own: Web) -> None:
    async def work() -> str:
        async with own.socket() as connection:
            await speak(connection, PCM[: 3 * 32000])
            return await asyncio.to_thread(own.manage, "shell", "-c", RECOVER)

    assert "recovered 0" in asyncio.run(asyncio.wait_for(work(), 60))


def test_sigterm_tells_a_client_in_mid_sentence_to_come_back_and_keeps_everything(own: Web) -> None:
    """The client goes on sending until it is told: TCP must not reset the connection before it has read the code, and
    what was under way by then is kept (a second of every socket was lost at each roll)."""

    async def work() -> tuple[Heard, float]:
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
        return heard, sent

    heard, sent = asyncio.run(asyncio.wait_for(work(), 60))
    assert heard.code == 1012
    assert own.process is not None
    assert own.process.wait(20) == 0
    [account] = own.ended(1)
    assert account["reason"] == "drain"
    assert account["received"] == pytest.approx(sent, abs=0.01)
    adds_up(account, account["received"])
    assert f"('finished', {account['received']}, True)" in own.journal()


def test_a_client_that_vanishes_without_closing_loses_nothing(web: Web) -> None:
    before = len(web.logged("session_ended"))

    async def work() -> None:
        connection = await web.socket("vanish")
        await speak(connection, PCM[: 8 * 32000])
        await asyncio.sleep(0.2)
        connection.transport.abort()

    asyncio.run(asyncio.wait_for(work(), 40))
    adds_up(web.ended(before + 1)[-1], 8.0)


GAP, PAUSES = ("120", (0.0, 5.0, 100.0, 130.0)) if FULL_SCALE else ("15", (0.0, 1.0, 3.0, 18.0))


@pytest.mark.timeout(500)
def test_a_client_that_comes_back_within_the_gap_goes_on_and_later_begins_anew(
    tmp_path: Path, vendors: VendorServer
) -> None:
    """Back after 5 s, 100 s and 130 s; scaled: the gap of 120 s is 15 s, which a busy machine does not use up."""
    web = Web(tmp_path, **vendors.urls, OMI_LIVE="deepgram", OMI_GAP_SECONDS=GAP)
    web.start()

    async def visit() -> str:
        async with web.socket("back") as connection:
            heard = Heard(connection)
            await speak(connection, PCM[: 3 * 32000], speed=1)
            await heard.until(lambda: heard.of("new_processing_memory_created"))
        return str(heard.of("new_processing_memory_created")[0]["processing_memory_id"])

    async def work() -> list[str]:
        ids = []
        for pause in PAUSES:
            await asyncio.sleep(pause)
            ids.append(await visit())
        return ids

    try:
        first, second, third, last = asyncio.run(asyncio.wait_for(work(), 400))
        for account in web.ended(len(PAUSES)):
            print(account)
            adds_up(account, 3.0)
            assert account["failed"] == 0
    finally:
        web.stop()
    assert first == second == third
    assert last != first


CLIENTS, PATIENCE = (1000, 600) if FULL_SCALE else (50, 90)


@pytest.mark.timeout(2000)
def test_a_thousand_clients_that_reconnect_at_once_are_all_served(tmp_path: Path, vendors: VendorServer) -> None:
    """A network that goes away and comes back: all sockets are cut without a word and all clients return together.
    Scaled: 50. Every second that any of them sent is accounted for."""
    web = Web(tmp_path, **vendors.urls, OMI_LIVE="deepgram")
    web.start()
    ready: list[float] = []

    async def connected(number: int, pcm: bytes) -> ClientConnection:
        began = time.monotonic()
        # This one process is all of the clients and the vendor: its own pongs come late.
        connection = await web.socket(f"crowd-{number}", open_timeout=PATIENCE, ping_interval=None)
        await connection.send(pcm)
        assert json.loads(await asyncio.wait_for(connection.recv(), PATIENCE))["status"] == "ready"
        ready.append(time.monotonic() - began)
        return connection

    async def work() -> None:
        for second in range(2):
            ready.clear()
            began = time.monotonic()
            pcm = PCM[second * 32000 : second * 32000 + 32000]
            crowd = await asyncio.gather(*(connected(number, pcm) for number in range(CLIENTS)))
            waits = sorted(ready)
            print(
                f"{CLIENTS} at once: all ready after {time.monotonic() - began:.1f} s, half {waits[CLIENTS // 2]:.1f} s"
            )
            await asyncio.sleep(0.5)
            for connection in crowd:
                connection.transport.abort()

    try:
        asyncio.run(asyncio.wait_for(work(), 2 * PATIENCE))
        accounts = web.ended(2 * CLIENTS, PATIENCE)
        total = {name: sum(one[name] for one in accounts) for name in ("received", "transcribed", "silence", "failed")}
        print(total)
        assert total["received"] == pytest.approx(2.0 * CLIENTS)
        assert sum(total.values()) - total["received"] == pytest.approx(total["received"], abs=0.02 * CLIENTS)
    finally:
        web.stop()


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
