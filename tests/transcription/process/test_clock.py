"""The wall clock is set while a real web process works: no socket, word or second is lost by it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from demo.vendors.server import VendorServer
from tests.transcription.process.conftest import PCM, SECONDS, WORDS, Heard, Web, adds_up, speak
from tests.transcription.process.test_outages import started

LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(LIBRARY is None, reason="needs libfaketime (Debian package faketime): make packages"),
]


class WallClock:
    """libfaketime in the web process reads its offset from a file; the monotonic clock is left alone, as it is when
    an administrator or NTP sets the time."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.set("+0")
        self.environment = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: str) -> None:
        self._file.write_text(f"{offset}\n")


def test_a_clock_that_is_set_in_mid_session_costs_nothing(tmp_path: Path, vendors: VendorServer) -> None:
    """Forward by more than the day that daphne lets a socket live, then back by hours. The vendor
    drops in between, so that back-off, breaker and replay work under the new time."""
    clock = WallClock(tmp_path)
    vendors.faults("deepgram", {"kind": "drop", "after_audio": 9.0})

    async def work(web: Web) -> Heard:
        async with web.socket() as connection:
            heard = Heard(connection)
            await speak(connection, PCM[: 7 * 32000])
            clock.set("+26h")
            await asyncio.sleep(3.2)  # the library looks every second, daphne every two
            async with httpx.AsyncClient(timeout=60) as client:  # a line of the access log under the new date
                await client.get(f"http://127.0.0.1:{web.port}/")
            await speak(connection, PCM[7 * 32000 : 14 * 32000])
            clock.set("-2h")
            await asyncio.sleep(1.2)
            await speak(connection, PCM[14 * 32000 :])
            assert heard.code is None
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: heard.of("new_memory_creating"), 40)
        return heard

    with started(tmp_path, vendors, **clock.environment) as web:
        heard = asyncio.run(asyncio.wait_for(work(web), 90))
        assert heard.words == WORDS
        assert len(vendors.log("deepgram")) >= 2
        [account] = web.ended(1)
        adds_up(account, SECONDS)
        assert account["failed"] == 0
        logged = [json.loads(line).get("timestamp", "") for line in web.log.read_text().splitlines()]
        assert len({moment[:10] for moment in logged if moment}) > 1, "the clock was not moved"
