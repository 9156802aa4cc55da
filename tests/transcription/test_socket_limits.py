"""What one client may make the socket hold, do and wait for."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.cache import cache

from omi.accounts import throttles
from tests.transcription.fakes import MemorySink, Script, spoken_pcm
from tests.transcription.live_session import TEN, run, words
from tests.transcription.wire import REAL_ADMIT, Wire, fill, fresh
from transcription import journal
from transcription.listen import authentication, capacity, consumer, drain, outgoing
from transcription.listen.pace import Pace, TextPace

pytestmark = pytest.mark.django_db
__all__ = ["fresh"]


class Slow(Script):
    """A vendor that says its last words only when it is let."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mute_after = 0.0


# --- sessions


def test_finish_in_a_loop_keeps_to_the_users_sessions_and_says_what_waits(settings: Any) -> None:
    """Three hundred vendor connections and as many journals were open within four seconds."""
    settings.OMI_SESSIONS_PER_USER = 4
    vendor = Slow()

    async def work() -> Wire:
        async with Wire(vendor) as wire:
            for _ in range(12):
                wire.send(bytes(3200))
                wire.send({"type": "finish"})
            await wire.until(lambda: wire.reasons("waiting"))
            await asyncio.sleep(1.0)
            assert capacity.count() == 4
            assert len([stream for stream in vendor.streams if not stream.closed]) <= 4
            assert len(list(journal.sessions())) <= 4
            vendor.mute_after = None
            for session in capacity.sessions_of("u1"):
                await session.discard()
                capacity.leave("u1", session)
            await wire.until(lambda: wire.reasons("ready").count("room"))
            for session in capacity.sessions_of("u1"):
                await session.discard()
        return wire

    assert "too_many_sessions" in run(work).reasons("waiting")


def test_a_client_that_opens_sockets_one_after_the_other_is_sent_away_and_another_user_is_not(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OMI_SOCKETS_PER_MINUTE = 3
    monkeypatch.setattr(authentication, "admit", REAL_ADMIT)
    monkeypatch.setattr(authentication, "_verify", lambda uid: authentication.Visitor(uid))
    monkeypatch.setattr(authentication, "_vocabulary", lambda uid: ())
    monkeypatch.setattr(authentication, "_tuned", lambda name, uid: None)
    monkeypatch.setattr(authentication, "TOO_OFTEN_SECONDS", 0.2)
    now = [time.time()]
    monkeypatch.setattr(throttles, "time", SimpleNamespace(time=lambda: now[0]))
    cache.clear()

    async def opened(uid: str) -> tuple[int | None, list[str]]:
        began = time.monotonic()
        async with Wire(uid=uid) as wire:
            await asyncio.sleep(0)
        assert wire.code is None or time.monotonic() - began >= 0.2  # it waits for its refusal
        return wire.code, wire.reasons("refused")

    async def work() -> list[tuple[int | None, list[str]]]:
        told = [await opened("u1") for _ in range(4)]
        told.append(await opened("u2"))
        now[0] += 60.0
        return [*told, await opened("u1")]

    let_in, refused = (None, []), (1013, ["too_often"])
    assert run(work) == [let_in, let_in, let_in, refused, let_in, let_in]


def test_what_waited_for_room_is_heard_whole_once_there_is(settings: Any) -> None:
    settings.OMI_SESSIONS_PER_USER = 1
    vendor = Script()

    async def work() -> Wire:
        async with Wire(vendor) as wire:
            capacity.enter("u1", first := object())  # type: ignore[arg-type]  # one that is being ended
            pcm = spoken_pcm(TEN)
            for at in range(0, len(pcm), 3200):
                wire.send(pcm[at : at + 3200])
            await wire.until(lambda: wire.reasons("waiting"))
            await asyncio.sleep(0.3)
            assert wire.words == []
            capacity.leave("u1", first)  # type: ignore[arg-type]
            await wire.until(lambda: len(wire.words) >= 9)
        return wire

    wire = run(work)
    assert wire.words[:9] == words(*TEN)[:9]
    assert wire.reasons("waiting") == ["too_many_sessions"]


def test_reconnecting_in_a_loop_keeps_to_the_same_number(settings: Any) -> None:
    settings.OMI_SESSIONS_PER_USER = 3
    vendor = Slow()

    async def work() -> None:
        for _ in range(8):
            async with Wire(vendor) as wire:
                wire.send(bytes(3200))
                await wire.until(lambda: wire.reasons("waiting") or wire.consumer.intake.session is not None)
        assert capacity.count() == 3
        assert len([stream for stream in vendor.streams if not stream.closed]) <= 3
        for session in capacity.sessions_of("u1"):
            await session.discard()

    run(work)


def test_the_process_has_its_own_bound(settings: Any) -> None:
    settings.OMI_SESSIONS = 2
    assert capacity.has_room("a")
    for number in range(2):
        capacity.enter(f"u{number}", object())  # type: ignore[arg-type]
    assert not capacity.has_room("a")


def test_no_session_begins_while_the_process_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = Script()

    async def work() -> Wire:
        async with Wire(vendor) as wire:
            await fill(wire)
            began = len(vendor.streams)
            monkeypatch.setattr(drain, "_draining", True)
            monkeypatch.setattr(consumer, "ANSWER_SECONDS", 0.2)  # this client never answers the close frame
            ending = asyncio.create_task(wire.consumer.drain())
            for _ in range(50):
                wire.send(bytes(3200))
                await asyncio.sleep(0.005)
            await ending
            assert len(vendor.streams) == began == 1
            async with Wire(vendor, uid="late") as late:
                late.send(bytes(32000))
                await late.until(lambda: late.code is not None)
                assert (late.code, late.consumer.intake) == (1012, None)
        return wire

    wire = run(work)
    assert wire.code == 1012
    assert len(list(journal.sessions())) == 1


# --- what goes out


@pytest.mark.parametrize("direct", [True, False])
def test_a_client_that_does_not_read_is_parted_with(direct: bool) -> None:
    async def work() -> Wire:
        async with Wire(direct=direct) as wire:
            if direct:
                wire.unread = outgoing.MAX_WAITING + 1
            else:
                wire.consumer._out._bytes = outgoing.MAX_WAITING + 1
            wire.send({"type": "ping"})
            await wire.until(lambda: wire.code is not None)
        return wire

    wire = run(work)
    assert (wire.code, wire.reason) == (1008, "too much was left unread")
    assert wire.of("pong") == []


def test_events_are_not_replayed_to_a_client_that_does_not_read() -> None:
    sink = MemorySink()
    for number in range(500):
        sink.append("u1", "new_memory_created", memory_id=f"m{number}", memory={"text": "x" * 1000})

    async def work() -> Wire:
        async with Wire(direct=True, sink=sink) as wire:
            wire.unread = outgoing.EASY + 1
            feed = wire.consumer._feed
            assert feed is not None
            feed.number = 0
            await feed.look()
            assert wire.of("new_memory_created") == []
            wire.unread = 0
            await feed.look()
            assert len(wire.of("new_memory_created")) == 500
        return wire

    run(work)


def test_text_in_masses_is_read_more_slowly() -> None:
    pace = TextPace(now=0.0)
    assert [pace.take(10, 0.0) for _ in range(190)] == [0.0] * 190
    waits = [pace.take(10, 0.0) for _ in range(40)]
    assert waits[-1] > 0.5
    assert TextPace(now=0.0).take(64 * 1024, 0.0) == 0.0
    long = TextPace(now=0.0)
    assert sum(long.take(64 * 1024, 0.0) for _ in range(10)) > 10.0


def test_empty_frames_and_keep_alives_are_counted() -> None:
    async def work() -> Wire:
        async with Wire(codec="opus") as wire:
            for _ in range(5000):
                wire.send(b"")
                wire.send(b"\x8a\x00")
            await wire.until(lambda: wire.code is not None)
        return wire

    wire = run(work)
    assert (wire.code, wire.reasons("refused")) == (1008, ["too_fast"])


def test_opus_packets_are_paced_by_what_they_decode_to(settings: Any) -> None:
    """A packet of two bytes may hold 120 ms; it was counted as 10."""
    settings.OMI_MAX_SPEED = 1.0

    async def work() -> Wire:
        async with Wire(codec="opus") as wire:
            for _ in range(150):  # 18 s: more than the burst of 15
                wire.send(b"\x1b\x02" + bytes(40))  # SILK, 60 ms, two frames
            await wire.until(lambda: wire.reasons("slowed"))
            session = wire.consumer.intake.session
            await wire.until(lambda: session.received >= 17.9)
            assert session.received == pytest.approx(18.0)
        return wire

    assert run(work).reasons("slowed") == ["too_fast"]
    assert Pace(100.0, 0.0).take(0.12, 0.0) == 0.0


@pytest.mark.parametrize(("codec", "size"), [("opus", 70_000), ("opus", 61_500), ("pcm16", 300_000)])
def test_a_frame_that_no_codec_makes_is_refused_with_1009(codec: str, size: int) -> None:
    """70,000 bytes of Opus killed the consumer: closed with 1011, and without a word."""

    async def work() -> Wire:
        async with Wire(codec=codec) as wire:
            wire.send(bytes(size))
            await wire.until(lambda: wire.code is not None)
        return wire

    wire = run(work)
    assert (wire.code, wire.reasons("refused")) == (1009, ["frame_too_big"])
