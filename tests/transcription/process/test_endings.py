"""When a conversation has ended, and what begins then: over the wire, with a real web process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.vendors.server import VendorServer
from tests.transcription.process.conftest import PCM, WORDS, Heard, Web, adds_up, speak
from tests.transcription.process.test_outages import started

pytestmark = pytest.mark.process
QUIET = b"\0" * (7 * 32000)
TALK = PCM[: 6 * 32000]


@pytest.fixture
def impatient(tmp_path: Path, vendors: VendorServer) -> Iterator[Web]:
    """A process whose gap is 5 s."""
    with started(tmp_path, vendors, OMI_GAP_SECONDS="5") as web:
        yield web


def memories(heard: Heard) -> set[str]:
    return {item["memory_id"] for item in heard.of("new_memory_creating")}


def test_what_is_said_after_the_gap_is_another_memory_though_audio_came_all_the_time(impatient: Web) -> None:
    """A talk, quiet audio for longer than the gap, a talk: on one socket, at the speed of speech."""

    async def work() -> Heard:
        async with impatient.socket() as connection:
            heard = Heard(connection)
            for pcm in (TALK, QUIET, TALK, QUIET):
                await speak(connection, pcm, speed=2)
            await heard.until(lambda: len(memories(heard)) >= 2, 40)
        return heard

    heard = asyncio.run(asyncio.wait_for(work(), 90))
    assert len(memories(heard)) == 2
    assert len({item["processing_memory_id"] for item in heard.of("new_processing_memory_created")}) == 2
    ended = impatient.ended(2)
    assert [account["reason"] for account in ended[:2]] == ["gap", "gap"]
    for account in ended:
        adds_up(account, account["received"])


def test_what_is_said_after_finish_is_another_memory_also_on_a_new_socket(impatient: Web) -> None:
    async def visit() -> tuple[str, str]:
        async with impatient.socket() as connection:
            heard = Heard(connection)
            await speak(connection, TALK)
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: heard.of("new_memory_creating"), 30)
        return heard.of("new_processing_memory_created")[0]["processing_memory_id"], *memories(heard)

    async def work() -> list[tuple[str, str]]:
        return [await visit(), await visit()]

    first, second = asyncio.run(asyncio.wait_for(work(), 80))
    assert first[0] != second[0]
    assert first[1] != second[1]


def test_a_lost_network_gives_one_conversation_and_one_request_for_its_memory(impatient: Web) -> None:
    """Gone for 1 s in mid-talk: the memory is asked for when the talk has ended, not when the network was lost."""

    async def work() -> Heard:
        connection = await impatient.socket()
        await speak(connection, TALK, speed=3)
        connection.transport.abort()
        await asyncio.sleep(1)
        async with impatient.socket() as connection:
            heard = Heard(connection)
            await speak(connection, PCM[6 * 32000 : 12 * 32000], speed=3)
            before = time.monotonic()
            while time.monotonic() < before + 4:  # longer than the hold after the lost connection
                await connection.send(QUIET[:3200])
                await asyncio.sleep(0.1)
            assert not memories(heard)
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: memories(heard), 30)
        return heard

    heard = asyncio.run(asyncio.wait_for(work(), 80))
    assert len(memories(heard)) == 1
    until = time.monotonic() + 10
    while not impatient.logged("conversation_finished") and time.monotonic() < until:
        time.sleep(0.1)
    assert len(impatient.logged("conversation_finished")) == 1
    assert len(impatient.logged("conversation_goes_on")) == 1


def test_two_devices_that_talk_at_the_same_time_lose_no_word(impatient: Web) -> None:
    """Two sockets of one user without a device id, as the app of 2024 opens them: 201 words became 108."""

    async def work() -> list[Heard]:
        async with impatient.socket() as one, impatient.socket() as other:
            heard = [Heard(one), Heard(other)]
            await asyncio.gather(speak(one, speed=3), speak(other, speed=3))
            for connection in (one, other):
                await connection.send(json.dumps({"type": "finish"}))
            for each in heard:
                await each.until(lambda each=each: each.of("new_memory_creating"), 40)
        return heard

    heard = asyncio.run(asyncio.wait_for(work(), 90))
    assert [each.words for each in heard] == [WORDS, WORDS]
    ids = {item["processing_memory_id"] for each in heard for item in each.of("new_processing_memory_created")}
    kept = (
        "from memories.repository import processing;"
        f"found = [processing.get('u1', name) for name in {sorted(ids)!r}];"
        "print('kept', *(item.text for each in found for item in each.transcript_segments))"
    )
    until = time.monotonic() + 20
    while len(words := impatient.printed(kept).strip().splitlines()[-1].split()[1:]) < 2 * len(WORDS):
        assert time.monotonic() < until, words
        time.sleep(0.2)
    assert sorted(words) == sorted(2 * WORDS)
