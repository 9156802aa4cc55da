"""What vendors do to us, over real sockets: the client hears every word once, and every second is accounted for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from demo.vendors.server import VendorServer
from tests.transcription.process.conftest import SECONDS, WORDS, Heard, Web, adds_up, speak

pytestmark = pytest.mark.process


async def talk(web: Web, uid: str, *, speed: float = 8.0, settle: float = 25.0) -> Heard:
    async with web.socket(uid) as connection:
        heard = Heard(connection)
        await speak(connection, speed=speed)
        await connection.send(json.dumps({"type": "finish"}))
        await heard.until(lambda: len(heard.words) >= len(WORDS) or heard.of("new_memory_creating"), settle)
        await asyncio.sleep(0.3)
    await heard.task
    return heard


FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "busy": {"kind": "refuse", "status": 429, "retry_after": 1},
    "down": {"kind": "refuse", "status": 503},
    "drop": {"kind": "drop", "after_audio": 7.0},
    "close": {"kind": "close", "code": 1011, "after_audio": 7.0},
    "malformed": {"kind": "malformed", "after_results": 3},
    "garbage": {"kind": "garbage_frame", "after_results": 3},
    "repeated": {"kind": "duplicate_finals"},
    "out of order": {"kind": "out_of_order"},
    "slow": {"kind": "delay", "seconds": 0.05},
    "no key": {"kind": "refuse", "status": 401},
    "no money": {"kind": "refuse", "status": 402},
}


@pytest.mark.parametrize("name", list(FAULTS))
def test_the_client_hears_every_word_once(web: Web, vendors: VendorServer, name: str) -> None:
    web.close_breakers()
    if FAULTS[name]:
        vendors.faults("deepgram", FAULTS[name])
    before = len(web.logged("session_ended"))
    heard = asyncio.run(asyncio.wait_for(talk(web, "fault-" + name.replace(" ", "-")), 60))
    if name == "out of order":  # shown as they come, each once; their times put them right
        assert (sorted(heard.words), heard.words == WORDS) == (sorted(WORDS), False)
    else:
        assert heard.words == WORDS
    account = web.ended(before + 1)[-1]
    adds_up(account, SECONDS)
    assert account["failed"] == 0
    connections = len(vendors.log("deepgram"))
    if name in ("down", "drop", "close", "malformed", "garbage"):
        assert connections >= 2, "the fault did not happen, or the vendor was not tried again"
    elif name in ("no key", "no money"):
        assert connections == 1, "a vendor that refuses the key or the account is not asked again"


def test_a_vendor_that_hangs_is_noticed_and_the_other_one_goes_on(web: Web, vendors: VendorServer) -> None:
    web.close_breakers()
    vendors.faults("deepgram", {"kind": "stall", "after_audio": 6.0})
    before = len(web.logged("session_ended"))
    heard = asyncio.run(asyncio.wait_for(talk(web, "stall", speed=1.0, settle=40), 90))
    assert heard.words == WORDS
    adds_up(web.ended(before + 1, 40)[-1], SECONDS)


def test_with_all_vendors_down_the_socket_stays_and_every_second_is_failed_with_a_reason(
    web: Web, vendors: VendorServer
) -> None:
    """Closing the client's socket turned one vendor's outage into everybody's."""
    web.close_breakers()
    for vendor in ("deepgram", "soniox"):
        vendors.faults(vendor, {"kind": "refuse", "status": 503, "times": -1})

    async def work() -> Heard:
        async with web.socket("outage") as connection:
            heard = Heard(connection)
            await speak(connection)
            assert connection.close_code is None
            await heard.until(lambda: "stt_failed" in heard.statuses())
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: heard.of("new_memory_creating"), 40)
        return heard

    before = len(web.logged("session_ended"))
    heard = asyncio.run(asyncio.wait_for(work(), 80))
    failed = next(item for item in heard.of("service_status") if item["status"] == "stt_failed")
    assert failed["provider"] in ("deepgram", "soniox")
    assert failed["retryable"] is True
    account = web.ended(before + 1, 40)[-1]
    adds_up(account, SECONDS)
    assert account["transcribed"] == 0
    assert account["failed"] > SECONDS / 2
    assert account["reasons"]


def test_a_socket_that_dies_in_mid_sentence_and_lets_nobody_back_in_loses_no_second(
    web: Web, vendors: VendorServer
) -> None:
    """What was heard is shown once and stays; the rest is failed, for the journal to make up for
    (``test_capture``: what live vendors failed to hear is transcribed from the journal)."""
    web.close_breakers()
    for vendor in ("deepgram", "soniox"):
        vendors.faults(vendor, {"kind": "drop", "after_audio": 6.5}, {"kind": "refuse", "status": 503, "times": -1})

    async def work() -> Heard:
        async with web.socket("mid-sentence") as connection:
            heard = Heard(connection)
            await speak(connection, speed=4.0)
            assert connection.close_code is None, "a vendor's death is not the client's"
            await heard.until(lambda: "stt_failed" in heard.statuses())
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: heard.of("new_memory_creating"), 40)
        return heard

    before = len(web.logged("session_ended"))
    heard = asyncio.run(asyncio.wait_for(work(), 90))
    assert heard.words, "what was heard before is shown"
    assert heard.words == WORDS[: len(heard.words)]
    account = web.ended(before + 1, 40)[-1]
    adds_up(account, SECONDS)
    assert 0 < account["transcribed"] < SECONDS
    assert account["failed"] > 1
    assert account["reasons"]
