"""What a client does to a real process that it should not: hostile frames, floods, sockets that are never read. And
accounts that are erased in mid-sentence, and a process at its limit of open files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from demo.vendors.server import VendorServer
from omi.accounts.tokens import mint
from omi.core.websocket_masks import masked
from tests.transcription.process.conftest import PCM, WORDS, Heard, Web, speak
from transcription.client import _opus

pytestmark = pytest.mark.process


def run(work: Any, seconds: float = 90.0) -> Any:
    return asyncio.run(asyncio.wait_for(work(), seconds))


def resident(web: Web) -> float:
    """Megabytes."""
    assert web.process is not None
    return int(Path(f"/proc/{web.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def reasons(heard: Heard) -> list[str]:
    return [item["reason"] for item in heard.of("service_status") if item["status"] == "refused"]


# --- frames


def test_hostile_opus_frames_cost_their_own_time_and_every_word_around_them_is_heard(
    web: Web, vendors: VendorServer
) -> None:
    """5,000 bytes made the journal unreadable; 65,535 were a hole of billions of packets, 2.1 GB in this process."""
    web.close_breakers()
    before = resident(web)
    packets = _opus(np.frombuffer(PCM, "<i2"), 160)

    async def work() -> Heard:
        async with web.socket("hostile", codec="opus") as connection:
            heard = Heard(connection)
            for size in (1276, 4001, 5000, 61_000):
                await connection.send(b"\xff" * size)
            for packet in packets:
                await connection.send(packet)
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: len(heard.words) >= len(WORDS), 60)
        return heard

    assert run(work).words == WORDS
    assert resident(web) - before < 150
    seconds = round((len(packets) + 4) * 0.01, 2)
    until = time.monotonic() + 30
    while f"[({seconds}, {round(seconds * 32000)})]" not in (found := on_disk(web, "hostile")):
        assert time.monotonic() < until, found
        time.sleep(0.5)


def on_disk(web: Web, uid: str) -> str:
    """Seconds by the records, and bytes that are really decoded, of the user's journals."""
    return web.printed(
        "from transcription import journal; from transcription.journal.reader import seconds_on_disk as s;"
        f"print([(round(s(e), 2), sum(map(len, journal.read_pcm(e)))) for e in journal.sessions({uid!r})])",
    ).strip().splitlines()[-1]  # fmt: skip


def test_seventy_thousand_bytes_of_opus_close_with_1009_and_kill_nothing(web: Web) -> None:
    async def work() -> list[Heard]:
        all_heard = []
        for size in (61_500, 65_535, 70_000):
            async with web.socket("big-opus", codec="opus") as connection:
                heard = Heard(connection)
                await connection.send(bytes(10))
                await connection.send(bytes(size))
                await heard.task
                all_heard.append(heard)
        return all_heard

    for heard in run(work):
        assert (heard.code, reasons(heard)) == (1009, ["frame_too_big"])
    assert web.logged("session_part_failed") == []


# --- floods


def half_open(web: Web, uid: str, **query: str) -> socket.socket:
    """A client that has shaken hands and reads nothing more."""
    parameters = urlencode({"codec": "pcm16", "sample_rate": "16000", **query})
    raw = socket.create_connection(("127.0.0.1", web.port), 10)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.sendall(
        f"GET /listen?{parameters} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {mint(uid)}\r\n\r\n".encode()
    )
    answer = raw.recv(4096)
    assert answer.startswith(b"HTTP/1.1 101")
    return raw


TEXT_PING = b"\x81\x90" + bytes(4) + b'{"type": "ping"}'
PROTOCOL_PING = b"\x89\xfd" + bytes(4) + b"p" * 125


@pytest.mark.parametrize("frame", [TEXT_PING, PROTOCOL_PING], ids=["commands", "pings"])
def test_who_sends_in_masses_and_reads_nothing_costs_no_memory(web: Web, frame: bytes) -> None:
    """A million commands, or protocol pings, grew the process by 80 to 180 MB."""
    before = resident(web)
    raw = half_open(web, f"flood-{len(frame)}")
    raw.settimeout(2.0)
    sent, until = 0, time.monotonic() + 15
    with contextlib.suppress(OSError):
        while time.monotonic() < until and sent < 1_000_000:
            raw.sendall(frame * 1000)
            sent += 1000
    assert resident(web) - before < 40

    async def neighbour() -> float:
        async with web.socket("neighbour") as connection:
            await connection.recv()
            began = time.monotonic()
            await connection.send('{"type": "ping"}')
            while "pong" not in await connection.recv():
                pass
            return time.monotonic() - began

    assert run(neighbour) < 2.0
    raw.close()


def test_a_name_of_36_kb_in_one_message_stalls_nobody(web: Web, vendors: VendorServer) -> None:
    """It was kept for every segment, and told with each."""
    web.close_breakers()

    async def work() -> tuple[Heard, float]:
        async with web.socket("long-name", updates="true") as connection, web.socket("beside") as other:
            heard, beside = Heard(connection), Heard(other)
            await speak(connection)
            await heard.until(lambda: len(heard.words) >= 10)
            ids = [part["id"] for item in heard.messages if isinstance(item, list) for part in item]
            name = "n" * 36_000
            began = time.monotonic()
            await connection.send(json.dumps({"type": "speaker_assigned", "segment_ids": ids, "person_id": name}))
            await other.send('{"type": "ping"}')
            await beside.until(lambda: beside.of("pong"))
            took = time.monotonic() - began
            await heard.until(lambda: "ignored" in heard.statuses())
        return heard, took

    heard, took = run(work)
    assert took < 2.0
    assert not any(part["person_id"] for item in heard.messages if isinstance(item, list) for part in item)


def test_conversations_ended_in_a_loop_keep_to_the_users_sessions_and_connections(
    web: Web, vendors: VendorServer
) -> None:
    """``finish`` in a loop opened 300 vendor connections and as many journals within four seconds."""
    web.close_breakers()
    for vendor in ("deepgram", "soniox"):  # their last words never come: each ending takes its twenty seconds
        vendors.faults(vendor, {"kind": "stall", "after_seconds": 0.0, "times": -1})

    async def work() -> Heard:
        async with web.socket("loop") as connection:
            heard = Heard(connection)
            for _ in range(60):
                await connection.send(b"\1\0" * 1600)
                await connection.send('{"type": "finish"}')
            await heard.until(lambda: "waiting" in heard.statuses())
            await asyncio.sleep(2.0)
            before = len(heard.of("pong"))
            async with web.socket("beside-the-loop") as other:  # and the others are served
                await other.send('{"type": "ping"}')
                beside = Heard(other)
                await beside.until(lambda: beside.of("pong"))
            assert len(heard.of("pong")) == before
        return heard

    heard = run(work)
    assert [item["reason"] for item in heard.of("service_status") if item["status"] == "waiting"]
    folder = web.folder / "journal" / hashlib.sha256(b"loop").hexdigest()[:32]
    assert len(list(folder.iterdir())) <= 11
    for vendor in ("deepgram", "soniox"):
        assert len(vendors.log(vendor)) <= 25  # ten sessions, and each may have connected again


# --- erasure


async def talking(connection: ClientConnection) -> Heard:
    heard = Heard(connection)
    await speak(connection)
    await heard.until(lambda: heard.of("new_processing_memory_created"))
    return heard


def left(web: Web, uid: str) -> str:
    return web.printed(
        "from memories.privacy import erasure; from transcription import journal;"
        f"print('left', erasure.verify_user_erased({uid!r}), len(list(journal.sessions({uid!r}))))",
    ).strip().splitlines()[-1]  # fmt: skip


@pytest.mark.parametrize("door", ["request", "command"])
def test_an_erased_account_is_erased_where_it_is_open(web: Web, vendors: VendorServer, door: str) -> None:
    """The answer said complete, and the same socket made three documents, a vector and a journal afterwards."""
    web.close_breakers()
    uid = f"leaves-by-{door}"

    async def work() -> tuple[Heard, Any]:
        async with web.socket(uid) as connection:
            heard = await talking(connection)
            speaking = asyncio.create_task(speak(connection, PCM * 20, speed=2.0))
            if door == "request":
                headers = {"Authorization": f"Bearer {mint(uid)}"}
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{web.port}", timeout=60) as client:
                    answer = (await client.delete("/v1/users/delete-account", headers=headers)).json()
                assert answer["receipt"]["complete"] is True, answer
            else:
                await asyncio.to_thread(web.manage, "erase_user", uid, "--yes")
            await asyncio.wait_for(heard.task, 20)
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
        return heard, None

    heard, _ = run(work)
    assert heard.code == 1008
    assert reasons(heard) == ["unauthenticated"]
    time.sleep(3.0)  # the ending that a session would have had
    assert left(web, uid) == "left {} 0"


def test_a_sign_out_by_command_closes_the_socket_at_once_and_keeps_what_was_said(
    web: Web, vendors: VendorServer
) -> None:
    """It was noticed after up to five minutes."""
    web.close_breakers()

    async def work() -> Heard:
        async with web.socket("lost-phone") as connection:
            heard = await talking(connection)
            await heard.until(lambda: len(heard.words) >= len(WORDS) // 2)
            await asyncio.to_thread(web.manage, "signout", "lost-phone")
            await asyncio.wait_for(heard.task, 20)
        return heard

    heard = run(work)
    assert heard.code == 1008
    assert reasons(heard) == ["unauthenticated"]
    [begun] = heard.of("new_processing_memory_created")
    kept = (
        "from memories.repository import processing;"
        f"found = processing.get('lost-phone', {begun['processing_memory_id']!r});"
        "print('kept', ' '.join(item.text for item in found.transcript_segments))"
    )
    until = time.monotonic() + 60
    while len(told := web.printed(kept).strip().splitlines()[-1].split()[1:]) < len(heard.words):
        assert time.monotonic() < until, (told, heard.words)
        time.sleep(0.2)
    assert told[: len(heard.words)] == heard.words


def test_a_socket_ends_with_its_token_unless_a_fresh_one_comes(web: Web, vendors: VendorServer) -> None:
    """It outlived its token for hours."""
    web.close_breakers()

    async def work() -> tuple[Heard, Heard]:
        async with opened(web, "short", 6.0) as short, opened(web, "renewed", 6.0) as renewed:
            ends, stays = Heard(short), Heard(renewed)
            await renewed.send(json.dumps({"type": "auth", "token": mint("renewed", days=1)}))
            await ends.until(lambda: ends.code is not None)
            await renewed.send('{"type": "ping"}')
            await stays.until(lambda: stays.of("pong"))
        return ends, stays

    ends, stays = run(work)
    assert (ends.code, reasons(ends)) == (1008, ["unauthenticated"])
    assert "token_expires" in ends.statuses()
    assert stays.of("auth_response")[-1]["success"] is True


def opened(web: Web, uid: str, seconds: float) -> connect:
    query = urlencode({"codec": "pcm16", "sample_rate": "16000"})
    token = mint(uid, days=seconds / 86_400)
    headers = {"Authorization": f"Bearer {token}"}
    return connect(f"ws://127.0.0.1:{web.port}/listen?{query}", additional_headers=headers, open_timeout=20)


# --- open files


@pytest.fixture
def small(tmp_path: Path, running: VendorServer) -> Iterator[Web]:
    server = Web(tmp_path, **running.urls, OMI_LIVE="deepgram", OMI_SOCKETS_PER_USER="1000")
    server.open_files = 160
    server.start()
    yield server
    server.stop()


def test_at_the_limit_of_open_files_newcomers_are_told_and_health_is_answered(small: Web) -> None:
    held: list[socket.socket] = []
    told = b""
    try:
        for _ in range(400):
            raw = socket.create_connection(("127.0.0.1", small.port), 10)
            raw.settimeout(10)
            held.append(raw)
            raw.sendall(b"GET /v1/memories HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            told = raw.recv(65536)
            if told.startswith(b"HTTP/1.1 503"):
                break
        assert told.startswith(b"HTTP/1.1 503"), told
        assert b"too many open connections" in told
        assert b"Retry-After" in told
        for _ in range(5):
            assert httpx.get(f"http://127.0.0.1:{small.port}/healthz", timeout=10).status_code == 200
    finally:
        for raw in held:
            raw.close()
    until = time.monotonic() + 20
    while httpx.get(f"http://127.0.0.1:{small.port}/v1/memories", timeout=10).status_code != 401:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_the_soft_limit_of_open_files_is_raised_at_start(web: Web) -> None:
    assert web.process is not None
    [line] = [
        line
        for line in Path(f"/proc/{web.process.pid}/limits").read_text().splitlines()
        if line.startswith("Max open files")
    ]
    soft, hard = line.split()[3:5]
    assert int(soft) == min(65_536, int(hard)) or int(soft) > 65_536


# --- what a vendor that lags reads


def test_a_flood_of_one_socket_leaves_the_others_their_words(web: Web, vendors: VendorServer) -> None:
    web.close_breakers()

    async def work() -> Heard:
        async with web.socket("calm") as connection:
            heard = Heard(connection)
            flood = half_open(web, "loud")
            flood.settimeout(1.0)
            speaking = asyncio.create_task(speak(connection))
            with contextlib.suppress(OSError):
                for _ in range(300):
                    await asyncio.to_thread(flood.sendall, masked(bytes(60_000)))
            await speaking
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: len(heard.words) >= len(WORDS), 60)
            flood.close()
        return heard

    assert run(work).words == WORDS
