"""The socket itself, over the real wire: who may come in, what is refused and how, what is sent and when."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from demo.vendors.server import VendorServer
from omi.accounts.tokens import mint
from omi.core.websocket_masks import masked
from tests.transcription.process.conftest import PCM, WORDS, Heard, Web, speak
from transcription.client import _opus

pytestmark = pytest.mark.process


def run(work: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 60))


async def refused(
    web: Web, *frames: bytes | str, header: str | None = None, path: str = "listen", **query: str
) -> Heard:
    headers = {"Authorization": header} if header else {}
    async with connect(
        f"ws://127.0.0.1:{web.port}/{path}?{urlencode(query)}", additional_headers=headers
    ) as connection:
        heard = Heard(connection)
        for frame in frames:
            await connection.send(frame)
        await heard.task
    return heard


def reasons(heard: Heard) -> list[str]:
    return [item["reason"] for item in heard.of("service_status") if item["status"] == "refused"]


def test_an_unauthenticated_uid_is_refused(web: Web) -> None:
    heard = run(lambda: refused(web, b"\0" * 320, uid="victim"))
    assert (heard.code, reasons(heard)) == (1008, ["unauthenticated"])


def test_a_silent_stranger_is_let_go_after_five_seconds(web: Web) -> None:
    heard = run(lambda: refused(web, uid="victim"))
    assert heard.code == 1008
    assert heard.of("auth_response") == [{"type": "auth_response", "event_type": "auth_response", "success": False}]


@pytest.mark.parametrize("header", ["Bearer nonsense", "Basic dTpw", "Bearer "])
def test_a_wrong_token_is_refused(web: Web, header: str) -> None:
    heard = run(lambda: refused(web, header=header))
    assert (heard.code, reasons(heard)) == (1008, ["unauthenticated"])


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"codec": "mulaw8"}, "codec"),
        ({"stt_service": "whisper"}, "stt_service"),
        ({"sample_rate": "x"}, "sample_rate"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(web: Web, query: dict[str, str], word: str) -> None:
    heard = run(lambda: refused(web, header=f"Bearer {mint('u')}", **query))
    assert (heard.code, reasons(heard)) == (1008, ["bad_request"])
    assert word in heard.of("service_status")[-1]["status_text"]


def test_a_browser_sends_its_token_as_the_first_message_and_gets_whole_segments(
    web: Web, vendors: VendorServer
) -> None:
    web.close_breakers()

    async def work() -> Heard:
        query = urlencode({"codec": "opus", "sample_rate": "16000"})
        async with connect(f"ws://127.0.0.1:{web.port}/v4/web/listen?{query}") as connection:
            heard = Heard(connection)
            await connection.send(json.dumps({"type": "auth", "token": mint("browser")}))
            import numpy as np

            for packet in _opus(np.frombuffer(PCM, "<i2"), 160):
                await connection.send(packet)
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: len(whole_words(heard)) >= len(WORDS), 40)
        return heard

    heard = run(work)
    assert heard.of("auth_response")[0]["success"] is True
    assert whole_words(heard) == WORDS


def whole_words(heard: Heard) -> list[str]:
    """As a client does that replaces segments by their id."""
    by_id = {part["id"]: part for item in heard.messages if isinstance(item, list) for part in item}
    return [word for part in sorted(by_id.values(), key=lambda part: part["start"]) for word in part["text"].split()]


def test_segments_are_a_bare_array_with_float_times_and_the_apps_fields(web: Web, vendors: VendorServer) -> None:
    web.close_breakers()

    async def work() -> Heard:
        async with web.socket("shape") as connection:
            heard = Heard(connection)
            await speak(connection)
            await heard.until(lambda: len(heard.words) >= 10)
        return heard

    heard = run(work)
    for item in (part for message in heard.messages if isinstance(message, list) for part in message):
        assert isinstance(item["start"], float)
        assert isinstance(item["end"], float)
        assert item["speaker"].startswith("SPEAKER_0")
        assert item["is_user"] is False
        assert item["person_id"] is None
    for event in (message for message in heard.messages if isinstance(message, dict)):
        assert event["type"] == event["event_type"]


def test_text_where_audio_is_due_is_answered_and_the_audio_goes_on(web: Web, vendors: VendorServer) -> None:
    """A text frame broke the original's receive loop."""
    web.close_breakers()

    async def work() -> Heard:
        async with web.socket("text") as connection:
            heard = Heard(connection)
            for text in ("hello", "[1]", "{" * 5000, '{"type": "dance"}', '{"type": "speaker_assigned"}'):
                await connection.send(text)
            await connection.send('{"type": "ping"}')
            await connection.send(b"")
            await speak(connection)
            await heard.until(lambda: len(heard.words) >= 10)
        return heard

    heard = run(work)
    assert heard.statuses().count("ignored") == 5
    assert heard.of("pong")


def test_a_frame_that_is_too_big_is_refused(web: Web) -> None:
    async def work() -> Heard:
        async with web.socket("big") as connection:
            heard = Heard(connection)
            await connection.send(b"\0" * 300_000)
            await heard.task
        return heard

    heard = run(work)
    assert (heard.code, reasons(heard)) == (1009, ["frame_too_big"])


def test_a_user_has_so_many_sockets_and_others_have_theirs(web: Web) -> None:
    async def work() -> tuple[int | None, int | None]:
        open_ones = [await web.socket("many") for _ in range(5)]
        for one in open_ones:
            await one.recv()
        async with web.socket("many") as sixth, web.socket("other") as other:
            heard = Heard(sixth)
            await heard.task
            await other.recv()
            code = other.close_code
        for one in open_ones:
            await one.close()
        return heard.code, code

    assert run(work) == (1008, None)


def test_odd_splits_of_pcm_lose_nothing(web: Web, vendors: VendorServer) -> None:
    web.close_breakers()

    async def work() -> Heard:
        async with web.socket("odd") as connection:
            heard = Heard(connection)
            for at in range(0, len(PCM), 1777):
                await connection.send(PCM[at : at + 1777])
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: len(heard.words) >= len(WORDS))
        return heard

    assert run(work).words == WORDS


def test_frames_in_pieces_and_commands_between_them_keep_their_order(web: Web, vendors: VendorServer) -> None:
    """A network delivers a frame in several pieces; ours are cut anywhere, with text right behind some of them."""
    web.close_breakers()

    async def work() -> Heard:
        async with web.socket("torn") as connection:
            heard = Heard(connection)
            wire = b""
            for index, at in enumerate(range(0, len(PCM), 3200)):
                wire += masked(PCM[at : at + 3200])
                if index % 5 == 0:  # RFC 6455: a masked text frame, the mask being zero
                    wire += b"\x81\x90\0\0\0\0" + b'{"type": "ping"}'
            for at in range(0, len(wire), 1447):
                connection.transport.write(wire[at : at + 1447])
                if at % 3 == 0:
                    await asyncio.sleep(0.002)
            await connection.send(json.dumps({"type": "finish"}))
            await heard.until(lambda: len(heard.words) >= len(WORDS))
            await heard.until(lambda: len(heard.of("pong")) >= len(range(0, len(PCM), 16000)))
        return heard

    assert run(work).words == WORDS


def test_events_that_were_missed_are_asked_for_by_number(web: Web, vendors: VendorServer) -> None:
    """An event is not lost with its socket."""
    web.close_breakers()

    async def work() -> tuple[Heard, Heard]:
        async with web.socket("events") as connection:
            first = Heard(connection)
            await speak(connection)
            await first.until(lambda: first.of("new_processing_memory_created"))
        await asyncio.sleep(4)
        async with web.socket("events", after="0") as connection:
            second = Heard(connection)
            await second.until(lambda: second.of("new_memory_creating"))
        return first, second

    first, second = run(work)
    numbers = [item["event_number"] for item in second.messages if isinstance(item, dict) and "event_number" in item]
    assert numbers == sorted(numbers)
    assert second.of("new_processing_memory_created")[0] == first.of("new_processing_memory_created")[0]


def test_ten_thousand_tiny_frames_are_parted_with_and_the_server_lives(web: Web) -> None:
    async def work() -> Heard:
        async with web.socket("flood") as connection:
            heard = Heard(connection)
            with contextlib.suppress(ConnectionClosed):
                for _ in range(30_000):
                    await connection.send(b"\0")
            await asyncio.wait_for(heard.task, 30)
        async with web.socket("after-flood") as connection:
            await connection.recv()
        return heard

    heard = run(work)
    assert (heard.code, reasons(heard)) == (1008, ["too_fast"])


def test_audio_faster_than_it_may_come_is_read_more_slowly_told_once_and_kept(web: Web, vendors: VendorServer) -> None:
    """200 s at once: 15 s are the burst, the rest is read at a hundred times real time; nothing of it is lost."""
    web.close_breakers()

    async def work() -> tuple[Heard, float]:
        async with web.socket("hurry") as connection:
            heard = Heard(connection)
            await heard.until(lambda: any(item["status"] == "ready" for item in heard.of("service_status")))
            began = time.monotonic()
            await speak(connection, b"\0" * 180 * 32000 + PCM, speed=1e6)
            await connection.send('{"type": "ping"}')
            await heard.until(lambda: bool(heard.of("pong")), 40)
            took = time.monotonic() - began
            await connection.send('{"type": "finish"}')
            await heard.until(lambda: len(heard.words) >= len(WORDS), 60)
        return heard, took

    heard, took = run(work)
    assert [item["reason"] for item in heard.of("service_status") if item["status"] == "slowed"] == ["too_fast"]
    assert took > (200 - 15) / 100 * 0.9
    assert heard.words == WORDS
