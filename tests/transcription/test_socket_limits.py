"""What one client may make the socket hold, do and wait for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.transcription.fakes import MemorySink, Script, spoken_pcm
from tests.transcription.live_session import TEN, run, words
from tests.transcription.wire import TOKENS, Wire, admit
from transcription import capacity, drain, entrance, journal, outgoing, sign_in
from transcription.journal.quota import Quota
from transcription.pace import Pace, TextPace

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OMI_DATA_DIR = tmp_path
    monkeypatch.setattr(entrance, "admit", admit)
    monkeypatch.setattr(entrance, "verify", admit)
    monkeypatch.setattr(capacity, "_sessions", {})
    monkeypatch.setattr(entrance, "_seats", {})
    monkeypatch.setattr("transcription.journal.writer.QUOTA", Quota())


async def fill(wire: Wire, pcm: bytes = spoken_pcm(TEN)) -> None:
    for at in range(0, len(pcm), 3200):
        wire.send(pcm[at : at + 3200])
    await wire.read()


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
            feed._number = 0
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


# --- who spoke


@pytest.mark.parametrize(
    ("person", "ids", "reason"),
    [
        ("x" * 36_000, ["s"], "bad_message"),
        ("<b>" * 7000, ["s"], "bad_message"),
        ("a/b", ["s"], "bad_message"),
        ("of-another-user", ["s"], "unknown_person"),
        ("anna", ["y" * 65], "bad_message"),
        ("anna", ["s"] * 1001, "bad_message"),
        ("anna", [], "bad_message"),
        ("anna", ["never"], "unknown_segments"),
    ],
)
def test_who_spoke_is_one_of_the_users_people_and_nothing_else(person: str, ids: list[str], reason: str) -> None:
    sink = MemorySink()
    sink.people = {"anna"}

    async def work() -> Wire:
        async with Wire(Script(), sink=sink) as wire:
            await fill(wire)
            await wire.until(lambda: len(wire.words) >= 9)
            wire.send({"type": "speaker_assigned", "segment_ids": ids, "person_id": person})
            await wire.until(lambda: wire.reasons("ignored"))
            assert not wire.consumer.intake.session._builder.assigned
        return wire

    assert run(work).reasons("ignored") == [reason]


def test_who_spoke_is_said_to_be_unchecked_while_the_store_is_away() -> None:
    async def work() -> Wire:
        async with Wire(Script()) as wire:
            wire.sink.down = True
            wire.send({"type": "speaker_assigned", "segment_ids": ["s"], "person_id": "anna"})
            await wire.until(lambda: wire.reasons("ignored"))
            wire.sink.down = False
        return wire

    assert run(work).reasons("ignored") == ["people_unavailable"]


def test_a_thousand_unknown_ids_on_an_hour_of_talk_cost_no_time() -> None:
    """They blocked every socket for 19.5 s."""
    from transcription.live.builder import SegmentBuilder
    from transcription.ports import VoiceLabel
    from transcription.segments import Word

    builder = SegmentBuilder("hour")
    last = ""
    for number in range(9000):
        word = Word(text=f"w{number}", start=number * 0.4, end=number * 0.4 + 0.3, speaker=f"a/1/{number // 150 % 2}")
        [delta] = builder.add([word], "alpha_streaming")
        last = str(delta.as_message()["id"])
    began = time.process_time()
    for _ in range(20):
        assert builder.assign([f"unknown-{number}" for number in range(1000)], VoiceLabel(is_user=True)) == []
    took = time.process_time() - began
    assert took < 1.0, took
    assert [item.id for item in builder.assign([last], VoiceLabel(is_user=True))] == [builder.segments[-1].id]


def test_local_engines_are_so_many_and_no_more(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty short sessions started forty engines, 1.1 GB."""
    from omi.errors import ProviderError
    from transcription.live import local
    from transcription.live.base import LiveRequest

    class Child:
        def __init__(self, *_: Any) -> None: ...
        async def start(self) -> None: ...
        async def close(self, grace: float = 2.0) -> None: ...

    settings.OMI_LIVE_ENGINES = 2
    monkeypatch.setattr(local, "EngineProcess", Child)
    monkeypatch.setattr(local.LocalStream, "open_streams", 0)

    async def work() -> None:
        vendor, request = local.LocalLive("pocketsphinx"), LiveRequest(language="en", diarize=False, session_id="s")
        held = [await vendor.open(request) for _ in range(2)]
        with pytest.raises(ProviderError, match="busy") as busy:
            await vendor.open(request)
        assert (busy.value.retryable, busy.value.code, busy.value.retry_after) == (True, "internal", 5.0)
        await held[0].close()
        await held[0].close()
        await (await vendor.open(request)).close()
        await held[1].close()
        assert local.LocalStream.open_streams == 0

    run(work)


# --- how long a socket may stay


def test_a_socket_ends_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> Wire:
        async with Wire(ends=time.time() + 2.0) as wire:
            assert wire.code is None
            await wire.until(lambda: wire.code is not None)
        return wire

    wire = run(work)
    assert wire.code == 1008
    assert wire.reasons("refused") == ["unauthenticated"]
    assert wire.reasons("token_expires") == [""]


def test_a_fresh_token_as_a_message_lets_the_socket_stay() -> None:
    async def work() -> Wire:
        ends = time.time() + 2.5
        async with Wire(ends=ends) as wire:
            TOKENS["another"] = "u2", ends + 100
            TOKENS["fresh"] = "u1", ends + 100
            for token in ("bad", "another", 5, "fresh"):
                wire.send({"type": "auth", "token": token})
            await wire.until(lambda: len(wire.of("auth_response")) == 4)
            await asyncio.sleep(max(0.0, ends + 1.5 - time.time()))
            wire.send({"type": "ping"})
            await wire.until(lambda: wire.of("pong"))
        return wire

    wire = run(work)
    assert [item["success"] for item in wire.of("auth_response")] == [False, False, False, True]
    assert wire.code is None


def test_a_socket_ends_when_its_user_is_signed_out_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "RECHECK_SECONDS", 0.5)

    async def work() -> Wire:
        async with Wire(uid="revoked") as wire:
            await asyncio.sleep(1.2)
            assert wire.code is None
            del TOKENS["revoked"]
            await wire.until(lambda: wire.code is not None)
        return wire

    assert run(work).reasons("refused") == ["unauthenticated"]


# --- the disk


def test_the_audio_of_one_day_is_bounded_and_said_to_be(settings: Any) -> None:
    """Five sockets of 48 kHz wrote 832 GB a day."""
    settings.OMI_JOURNAL_BYTES_PER_DAY = 200_000
    quota = Quota()
    entrance.QUOTA, kept = quota, entrance.QUOTA
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("transcription.journal.writer.QUOTA", quota)

            async def work() -> tuple[Wire, Wire]:
                async with Wire(Script(), sample_rate="48000") as wire:
                    for _ in range(30):
                        wire.send(bytes(9600))
                    await wire.until(lambda: wire.code is not None)
                    async with Wire(uid="u1") as again:
                        await again.until(lambda: again.code is not None)
                    async with Wire(uid="neighbour") as other:
                        assert other.reasons("ready")
                return wire, again

            for wire in run(work):
                assert (wire.code, wire.reasons("refused")) == (1013, ["daily_audio"])
    finally:
        entrance.QUOTA = kept


def test_one_users_journals_have_their_share_of_the_disk_and_no_more(settings: Any) -> None:
    settings.OMI_JOURNAL_BYTES_PER_USER = 100_000

    async def work() -> Wire:
        async with Wire(Script(), uid="greedy") as greedy, Wire(Script(), uid="modest") as modest:
            await fill(greedy, bytes(32000 * 8))
            await fill(modest, bytes(32000))
            assert modest.reasons("degraded") == []
            assert greedy.consumer.intake.session.received == pytest.approx(8.0, abs=0.2)
        return greedy

    assert run(work).reasons("degraded") == ["journal"]


def test_the_last_of_the_disk_is_left_to_the_database(settings: Any) -> None:
    settings.OMI_JOURNAL_FREE_BYTES = 1 << 60

    async def work() -> Wire:
        async with Wire(Script()) as wire:
            await fill(wire)
            await wire.until(lambda: len(wire.words) >= 9)
            assert sum(entry.audio.stat().st_size for entry in journal.sessions()) == 0
        return wire

    assert run(work).reasons("degraded") == ["journal"]
