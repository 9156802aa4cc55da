"""What may be said of a voice, how long a socket may stay, and what one user's audio may take of the disk."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from omi.accounts import ended, revocation
from omi.accounts.models import SignOut
from tests.transcription.fakes import MemorySink, Script
from tests.transcription.live_session import run
from tests.transcription.wire import TOKENS, Wire, fill, fresh
from transcription import journal
from transcription.audio.codecs import codec
from transcription.journal.quota import Quota
from transcription.journal.writer import Journal
from transcription.listen import capacity, connection_limits, ended_users, token_renewal
from transcription.ports import SessionInfo

pytestmark = pytest.mark.django_db
__all__ = ["fresh"]


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
    from transcription.ports import VoiceLabel
    from transcription.segments import Word
    from transcription.session.segment_builder import SegmentBuilder

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
    monkeypatch.setattr(token_renewal, "RECHECK_SECONDS", 0.5)

    async def work() -> Wire:
        async with Wire(uid="revoked") as wire:
            await asyncio.sleep(1.2)
            assert wire.code is None
            del TOKENS["revoked"]
            await wire.until(lambda: wire.code is not None)
        return wire

    assert run(work).reasons("refused") == ["unauthenticated"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("here", [True, False], ids=["in this process", "in another process"])
def test_a_sign_out_closes_open_sockets_at_once_and_keeps_what_was_said(here: bool) -> None:
    sink = MemorySink()

    async def work() -> Wire:
        async with Wire(Script(), sink=sink) as wire:
            await fill(wire)
            await wire.until(lambda: len(wire.words) >= 9)
            if here:
                await sync_to_async(revocation.sign_out)("u1", reason="a lost phone")
            else:
                await SignOut.objects.acreate(uid="u1", at=timezone.now())
            await wire.until(lambda: wire.code is not None)
            await wire.until(lambda: not capacity.users())
        return wire

    wire = run(work)
    assert (wire.code, wire.reasons("refused")) == (1008, ["unauthenticated"])
    [kept] = sink.stored.values()
    assert [word for segment in kept for word in segment.text.split()] == wire.words
    assert len(sink.finished) == 1


@pytest.mark.django_db(transaction=True)
def test_a_sign_out_leaves_later_sign_ins_and_other_users_alone() -> None:
    async def work() -> Wire:
        async with Wire(Script(), uid="neighbour") as wire:
            await sync_to_async(revocation.sign_out)("u1", reason="a lost phone")
            await SignOut.objects.acreate(uid="neighbour", at=datetime.fromtimestamp(0.5, UTC))  # signed in at 1.0
            erased, out = await sync_to_async(ended.look)({"neighbour", "u1"})
            assert (erased, set(out)) == ({}, {"neighbour", "u1"})
            for uid, at in out.items():
                await ended_users.close_sockets(uid, at)
            wire.send({"type": "ping"})
            await wire.until(lambda: wire.of("pong"))
            assert wire.code is None
        return wire

    assert run(work).reasons("refused") == []


# --- the disk


def test_the_audio_of_one_day_is_bounded_and_said_to_be(settings: Any) -> None:
    """Five sockets of 48 kHz wrote 832 GB a day."""
    settings.OMI_JOURNAL_BYTES_PER_DAY = 200_000
    quota = Quota()
    connection_limits.QUOTA, kept = quota, connection_limits.QUOTA
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
        connection_limits.QUOTA = kept


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


def test_small_journals_are_bounded_in_number(settings: Any) -> None:
    """A client that ends conversations in a loop leaves a folder each."""
    settings.OMI_JOURNAL_BYTES_PER_USER = 3 * 1024 * 1024
    quota = Quota()

    def begin(number: int) -> Journal:
        info = SessionInfo("u", f"s{number}", datetime.now(UTC), "en", "pcm16", 16000)
        return Journal.open(info, codec("pcm16"), watch=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transcription.journal.writer.QUOTA", quota)
        for number in range(3):
            it = begin(number)
            it.append([bytes(3200)])
            it.abandon()
        quota._look("u")
        with pytest.raises(OSError, match="share of the disk"):
            begin(3)
    assert len(list(journal.sessions("u"))) == 3


def test_the_last_of_the_disk_is_left_to_the_database(settings: Any) -> None:
    settings.OMI_JOURNAL_FREE_BYTES = 1 << 60

    async def work() -> Wire:
        async with Wire(Script()) as wire:
            await fill(wire)
            await wire.until(lambda: len(wire.words) >= 9)
            assert sum(entry.audio.stat().st_size for entry in journal.sessions()) == 0
        return wire

    assert run(work).reasons("degraded") == ["journal"]
