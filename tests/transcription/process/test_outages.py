"""What the machine and the neighbours do to a session: stores, disks, vendors and other processes, all real."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.vendors.server import VendorServer
from tests.transcription.process.conftest import FULL_SCALE, PCM, SECONDS, WORDS, Heard, Web, adds_up, speak

pytestmark = pytest.mark.process


@contextlib.contextmanager
def started(folder: Path, vendors: VendorServer, **environment: str) -> Iterator[Web]:
    web = Web(folder, **vendors.urls, **{"OMI_LIVE": "deepgram", **environment})
    web.start()
    try:
        yield web
    finally:
        web.stop()


def rename(web: Web, before: str, after: str) -> None:
    with contextlib.closing(sqlite3.connect(web.folder / "omi.sqlite3", timeout=20)) as database:
        database.execute(f"ALTER TABLE {before} RENAME TO {after}")
        database.commit()


OUTAGE, SPEED = (60.0, 1.0) if FULL_SCALE else (6.0, 3.0)
"""Seconds of an outage, and times real time at which the client speaks meanwhile."""
SPOKEN = round(OUTAGE * SPEED) * 32000
LIMIT = 300.0 if FULL_SCALE else 120.0


@pytest.mark.timeout(400)
def test_a_document_store_that_is_down_costs_no_word_and_is_made_up_for(tmp_path: Path, vendors: VendorServer) -> None:
    """The documents' table is gone for a minute (scaled: 6 s) while the client speaks, and comes back."""

    async def work(web: Web) -> Heard:
        async with web.socket() as connection:
            heard = Heard(connection)
            rename(web, "stores_localdocument", "stores_localdocument_away")
            until = time.monotonic() + OUTAGE
            await speak(connection, PCM[:SPOKEN], speed=SPEED)
            await heard.until(lambda: "degraded" in heard.statuses())
            await asyncio.sleep(max(0.0, until - time.monotonic()))
            rename(web, "stores_localdocument_away", "stores_localdocument")
            await speak(connection, PCM[SPOKEN:], speed=SPEED)
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: heard.of("new_memory_creating"), 40)
        return heard

    with started(tmp_path, vendors) as web:
        heard = asyncio.run(asyncio.wait_for(work(web), LIMIT))
        assert heard.words == WORDS
        assert [item["reason"] for item in heard.of("service_status") if item["status"] == "degraded"] == ["storage"]
        [account] = web.ended(1)
        print(account)
        adds_up(account, SECONDS)
        assert account["failed"] == 0
        web.finished(account["received"])


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted: needs root")
def test_a_full_disk_is_told_and_costs_no_word(tmp_path: Path, vendors: VendorServer) -> None:
    """The journal stands on a file system of 256 kB: 8 s of this audio. Times stay right, what is missing is a hole."""
    folder = tmp_path / "journal"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True, timeout=10, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mount is not allowed here: {mounted.stderr.decode()[:100]}")

    async def work(web: Web) -> Heard:
        async with web.socket() as connection:
            heard = Heard(connection)
            await speak(connection)
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: heard.of("new_memory_creating"), 40)
        return heard

    try:
        with started(tmp_path, vendors) as web:
            heard = asyncio.run(asyncio.wait_for(work(web), 90))
            assert heard.words == WORDS
            degraded = [item["reason"] for item in heard.of("service_status") if item["status"] == "degraded"]
            assert degraded == ["journal"]
            [account] = web.ended(1)
            adds_up(account, SECONDS)
            assert account["failed"] == 0
            assert sum(path.stat().st_blocks * 512 for path in folder.rglob("audio.bin")) < 256 * 1024
    finally:
        subprocess.run(["umount", "-l", str(folder)], timeout=10, check=True)


@pytest.mark.timeout(400)
def test_what_was_said_while_all_vendors_were_down_is_heard_when_one_is_back(
    tmp_path: Path, vendors: VendorServer
) -> None:
    """All of them refuse for a minute (scaled: 6 s) while the client speaks."""
    for vendor in ("deepgram", "soniox"):
        vendors.faults(vendor, {"kind": "refuse", "status": 503, "times": -1})

    async def work(web: Web) -> Heard:
        async with web.socket() as connection:
            heard = Heard(connection)
            await speak(connection, PCM[:SPOKEN], speed=SPEED)
            await heard.until(lambda: "stt_failed" in heard.statuses())
            assert heard.words == []
            for vendor in ("deepgram", "soniox"):
                vendors.faults(vendor, clear=True)
            back = time.monotonic()
            await speak(connection, PCM[SPOKEN:], speed=SPEED)
            await heard.until(lambda: len(heard.words) >= len(WORDS) - 2, 150 if FULL_SCALE else 45)
            print(f"all words {time.monotonic() - back:.1f} s after the vendors were back")
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: heard.of("new_memory_creating"), 40)
        return heard

    with started(tmp_path, vendors, OMI_LIVE="deepgram,soniox") as web:
        heard = asyncio.run(asyncio.wait_for(work(web), LIMIT))
        assert heard.words == WORDS
        [account] = web.ended(1)
        print(account)
        adds_up(account, SECONDS)
        assert account["failed"] == 0


def talked(web: Web, uid: str, **query: str) -> list[str]:
    """The words of a whole conversation, as its socket brought them."""

    async def talk() -> list[str]:
        async with web.socket(uid, **query) as connection:
            heard = Heard(connection)
            await speak(connection)
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: len(heard.words) >= len(WORDS))
        return heard.words

    return asyncio.run(asyncio.wait_for(talk(), 60))


def test_a_vendor_that_refuses_the_key_is_asked_once_by_all_processes_together(
    tmp_path: Path, vendors: VendorServer
) -> None:
    """Two web processes on one database: what the first one learned keeps the second one from asking."""
    vendors.faults("deepgram", {"kind": "refuse", "status": 401, "times": -1})

    with started(tmp_path, vendors, OMI_LIVE="deepgram,soniox") as first:
        second = Web(tmp_path, **vendors.urls, OMI_LIVE="deepgram,soniox")
        second.start()
        try:
            assert talked(first, "a") == WORDS
            assert len(vendors.log("deepgram")) == 1
            assert talked(second, "b") == WORDS
            assert len(vendors.log("deepgram")) == 1
        finally:
            second.stop()
        assert first.logged("vendor_alarm")


def test_what_one_users_request_is_refused_for_takes_the_vendor_from_nobody(
    tmp_path: Path, vendors: VendorServer
) -> None:
    """A language that no vendor knows was sent as it was, and its refusal opened everybody's breaker for 300 s."""
    with started(tmp_path, vendors, OMI_LIVE="deepgram,soniox") as web:
        assert talked(web, "a", language="en-ZZ") == WORDS
        assert {dict(entry["query"])["language"] for entry in vendors.log("deepgram")} == {"en"}
        vendors.reset()
        vendors.faults("deepgram", {"kind": "refuse", "status": 400, "times": -1})
        for uid in ("a", "b", "c"):  # as often as failures open a breaker
            assert talked(web, uid) == WORDS
        assert len(vendors.log("deepgram")) == 3, "each was asked for, and each refusal was its own"
        vendors.faults("deepgram", clear=True)
        asked = len(vendors.log("deepgram"))
        assert talked(web, "neighbour") == WORDS
        assert len(vendors.log("deepgram")) == asked + 1
        assert web.logged("vendor_alarm") == []
