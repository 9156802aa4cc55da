"""A live session whose vendors drop, hang, refuse or disagree: every word once, and every second accounted for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from omi.core.errors import ErrorKind, ProviderError
from tests.transcription.fakes import Script, spoken_pcm
from tests.transcription.live_session import TEN, Run, drop, lived, quota, run, words
from transcription.vendors.live.base import NO_ROOM


def test_a_dropped_vendor_is_reconnected_and_gets_what_it_missed() -> None:
    it = lived(Run(Script(fail_after=[(1.9, drop()), (1.3, drop())])), spoken_pcm(TEN), pause=0.01)
    assert it.shown == words(*TEN)
    assert it.sink.finished[0].accounting.failed == 0  # type: ignore[union-attr]


def test_parallel_shows_the_next_vendor_without_gap_or_repeated_word() -> None:
    it = lived(Run(Script("alpha", fail_after=[(2.2, quota())]), Script("beta")), spoken_pcm(TEN), pause=0.01)
    assert it.shown == words(*TEN)
    providers = {segment.stt_provider for segment in it.sink.stored["c0"]}
    assert providers == {"alpha_streaming", "beta_streaming"}
    assert set(it.sink.transcripts["c0"]) == {"alpha_streaming", "beta_streaming", "consensus"}
    assert " ".join(item.text for item in it.sink.transcripts["c0"]["consensus"]).split() == words(*TEN)


@pytest.mark.parametrize("alone", [True, False])
def test_a_fault_of_our_own_in_one_vendors_part_makes_nobody_deaf(alone: bool) -> None:
    """It is tried again, and another vendor's words go on meanwhile; the vendor's breaker hears nothing of it."""
    faulty = Script("alpha", fail_after=[(2.2, KeyError("ours"))])  # type: ignore[list-item]
    it = lived(Run(faulty, *([] if alone else [Script("beta")])), spoken_pcm(TEN), pause=0.01)
    assert it.shown == words(*TEN)
    assert it.sink.finished[0].accounting.failed == 0  # type: ignore[union-attr]
    assert not any(vendor.breaker.failures for vendor in it.session._supervisor.sessions)  # type: ignore[attr-defined]


def test_failover_feeds_the_next_vendor_what_the_failed_one_did_not_finish() -> None:
    second = Script("beta")
    it = Run(Script("alpha", fail_after=[(2.2, quota())]), second, mode="failover")
    lived(it, spoken_pcm(TEN), pause=0.01)
    assert it.shown == words(*TEN)
    assert len(second.streams[0].audio) < 4.5 * 32000


def test_repeated_finals_are_shown_once() -> None:
    assert lived(Run(Script(repeat_finals=True)), spoken_pcm(TEN)).shown == words(*TEN)


def test_a_vendor_that_hangs_is_replaced_by_a_new_connection() -> None:
    async def work() -> Run:
        vendor = Script(mute_after=1.6)
        it = Run(vendor)
        it.session.start()
        await it.feed(spoken_pcm(TEN), pause=0.03)
        vendor.mute_after = None
        await asyncio.sleep(1.5)
        await it.session.finish("disconnect")
        return it

    assert run(work).shown == words(*TEN)


def test_with_every_vendor_refusing_the_session_is_still_finished_and_accounted() -> None:
    """A vendor outage never ends the session."""

    async def work() -> Run:
        it = Run(Script("alpha", open_errors=[quota()]), gate=True)
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        await asyncio.sleep(0.1)
        await it.session.finish("disconnect", keep=True)
        return it

    it = run(work)
    assert "stt_failed" in it.states()
    [finished] = it.sink.finished
    account = finished.accounting
    assert account is not None
    assert account.transcribed == 0
    assert account.transcribed + account.silence + account.failed == pytest.approx(account.received)


def test_a_slow_vendor_reads_from_the_journal_what_memory_no_longer_holds() -> None:
    it = Run(Script(delay=0.02))
    it.session._window._keep = 16000  # one second in memory
    lived(it, spoken_pcm(list(range(1, 41))), pause=0)
    assert it.shown == words(*range(1, 41))


# --- the vote


def test_what_several_vendors_agree_on_is_kept_as_consensus_in_the_shown_segments() -> None:
    vendors = [Script("alpha", mishears={3: "wrong"}), Script("beta"), Script("gamma", mishears={7: "wrong"})]
    it = lived(Run(*vendors), spoken_pcm(TEN))
    assert "wrong" in it.shown
    assert it.sink.text().split() == words(*TEN)
    stored = it.sink.transcripts["c0"]
    assert set(stored) == {"alpha_streaming", "beta_streaming", "gamma_streaming", "consensus"}
    assert " ".join(item.text for item in stored["consensus"]).split() == words(*TEN)
    assert {item.id for item in stored["consensus"]} <= {item.id for item in it.sink.stored["c0"]}


def test_one_vendor_alone_makes_no_vote() -> None:
    assert set(lived(Run(Script()), spoken_pcm(TEN)).sink.transcripts["c0"]) == {"alpha_streaming"}


def test_a_stream_too_many_is_degraded_and_its_audio_is_kept_and_caught_up() -> None:
    """The machine is full at first: the client is told, nothing is lost, and nobody's breaker hears of it."""
    full = ProviderError("alpha", "full", kind=ErrorKind.TRANSIENT, code=NO_ROOM)
    it = lived(Run(Script("alpha", open_errors=[full, full])), spoken_pcm(TEN), pause=0.02)
    assert it.shown == words(*TEN)
    told = [message for message in it.statuses if message["status"] == "degraded"]
    assert [(message["provider"], message["reason"]) for message in told] == [("alpha", NO_ROOM)]
    assert "kept" in told[0]["status_text"]
    assert not any(vendor.breaker.failures for vendor in it.session._supervisor.sessions)  # type: ignore[attr-defined]


def test_what_two_of_three_vendors_heard_is_shown_on_the_socket_too() -> None:
    """The client had the first vendor's mistakes, and the memory had not."""
    vendors = (Script("alpha", mishears={3: "tree"}), Script("beta"), Script("gamma", mishears={7: "eleven"}))
    it = lived(Run(*vendors), spoken_pcm(TEN), pause=0.01)
    assert "tree" in it.shown
    agreed = " ".join(item.text for item in it.sink.transcripts["c0"]["consensus"])
    assert agreed.split() == words(*TEN)
    assert it.sink.text() == agreed
    assert " ".join(item.text for item in it.updates) == agreed


def test_a_segment_is_corrected_while_the_session_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transcription.session.session.PAUSE", 0.1)

    async def work() -> tuple[list[str], list[str]]:
        turns: dict[str, Any] = {"diarization": True, "voices": 2}  # each word is a segment
        alpha, gamma = (Script(name, mishears={n: "wrong"}, **turns) for name, n in (("alpha", 3), ("gamma", 5)))
        it = Run(alpha, Script("beta", **turns), gamma)
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        for _ in range(100):
            if it.updates:
                break
            await asyncio.sleep(0.05)
        corrected = [item.text for item in it.updates]
        await it.session.finish("disconnect")
        return corrected, [item.text for item in it.session.segments]

    corrected, shown = run(work)
    assert corrected == ["w3"]
    assert shown == words(*TEN)
