"""What counts against a vendor, what is told of it, and what is lost: with scripted vendors."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from omi.core.errors import ErrorKind, Outcome, ProviderError
from tests.transcription.fakes import NoBreaker, Script, spoken_pcm
from tests.transcription.live_session import TEN, Run, drop, lived, run, words
from transcription.session.account import account
from transcription.vendors.live.deepgram import DeepgramLive
from transcription.vendors.live.socket import refused_handshake


def test_what_is_about_a_request_never_counts_against_the_vendor(monkeypatch: pytest.MonkeyPatch) -> None:
    """``language=en-ZZ`` of one user took the vendor from everybody for five minutes."""
    counted: list[ProviderError] = []

    class Breaker(NoBreaker):
        async def failed(self, error: ProviderError) -> None:
            counted.append(error)

    monkeypatch.setattr("tests.transcription.live_session.NoBreaker", Breaker)
    refusal = refused_handshake("alpha", 400, {})
    it = lived(Run(Script(open_errors=[refusal]), Script("beta")), spoken_pcm(TEN))
    assert it.shown == words(*TEN)
    assert counted == []
    key = refused_handshake("alpha", 401, {})
    lived(Run(Script(open_errors=[key]), Script("beta")), spoken_pcm(TEN))
    assert counted == [key]


@pytest.mark.parametrize(
    ("asked", "sent"),
    [("en-ZZ", "en"), ("en-gb", "en-GB"), ("pt-BR", "pt-BR"), ("de-AT", "de"), ("zh-Hant", "zh-Hant"),
     ("multi", "multi"), ("DE", "de")],
)  # fmt: skip
def test_a_vendor_is_asked_for_a_language_of_its_own_list(asked: str, sent: str) -> None:
    assert DeepgramLive.capabilities.spoken(asked) == sent


def test_a_vocabulary_is_cut_to_what_the_vendor_takes() -> None:
    given = ["x" * 5000, *(f"name number {n:03d}" for n in range(200))]
    taken = DeepgramLive.capabilities.terms(given)
    assert taken[0] == "name number 000"
    assert len(taken) <= 50
    assert sum(len(term.encode()) for term in taken) <= 500


def test_a_vendor_that_is_back_is_told_after_it_had_failed() -> None:
    """``stt_failed`` was the last word about a vendor that came back by itself."""

    async def work() -> Run:
        it = Run(Script(fail_after=[(1.5, drop())], open_errors=[]))
        it.session.start()
        await it.feed(spoken_pcm(TEN[:5]), pause=0.01)
        for _ in range(200):
            if "stt_failed" in it.states() and it.states()[-1] == "ready":
                break
            await asyncio.sleep(0.02)
        await it.feed(spoken_pcm(TEN[5:]), pause=0.01)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert it.shown == words(*TEN)
    assert it.states() == ["ready", "stt_failed", "ready"]
    assert (it.statuses[-1]["provider"], it.statuses[-1]["reason"]) == ("alpha", "recovered")


def test_what_each_vendor_did_stands_in_the_books() -> None:
    it = lived(Run(Script(fail_after=[(2.0, drop())]), Script("beta")), spoken_pcm(TEN))
    told = it.sink.finished[0].accounting.vendors  # type: ignore[union-attr]
    assert told["alpha"]["connections"] == 2
    assert told["alpha"]["failures"] == {"dropped": 1}
    assert told["beta"]["words"] == 10
    assert told["beta"]["seconds"] == pytest.approx(5.0, abs=0.1)


def test_audio_that_nobody_could_be_given_any_more_has_failed_and_is_not_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The only vendor is away for longer than memory holds, and the disk is full: 20 s became silence."""

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr("transcription.journal.writer.os.pwrite", full)
    away = [ProviderError("alpha", "down", kind=ErrorKind.TRANSIENT, code="503") for _ in range(3)]
    numbers = list(range(1, 101))

    async def work() -> Run:
        it = Run(Script(open_errors=away))
        it.session.start()
        await it.feed(spoken_pcm(numbers[:80]), step=32000, pause=0.001)
        await asyncio.sleep(1.0)
        await it.feed(spoken_pcm(numbers[80:]), pause=0.001)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    books = it.sink.finished[0].accounting
    assert books is not None
    assert books.failed == pytest.approx(28.0, abs=1.5)  # of 40 s, all but the 12 s that memory holds
    assert books.reasons.keys() == {"journal_unavailable"}
    assert books.transcribed + books.silence + books.failed == pytest.approx(books.received)
    assert books.missing[0].start == 0.0


def test_what_floats_leave_of_two_ends_that_are_one_has_not_failed() -> None:
    end = 13.8 + 1.7763568394002505e-15
    counted = account(end, [(0.0, 13.8)], [], [(0.0, end)], "alpha:dropped")
    assert (counted.failed, counted.missing, counted.reasons) == (0.0, [], {})


def test_the_books_say_where_it_failed() -> None:
    counted = account(20.0, [(0.0, 8.0)], [], [(0.0, 10.0), (15.0, 18.0)], "alpha:dropped", lost=[(2.0, 3.0)])
    assert [(item.start, item.end) for item in counted.missing] == [(2.0, 3.0), (8.0, 10.0), (15.0, 18.0)]
    assert counted.reasons == {"alpha:dropped": 5.0, "journal_unavailable": 1.0}
    assert counted.failed == 6.0


def test_a_refused_key_is_everybodys_and_a_refused_request_is_not() -> None:
    assert refused_handshake("alpha", 403, {}).outcome is Outcome.CONFIG_ERROR
    assert refused_handshake("alpha", 422, {}).outcome is Outcome.INVALID_INPUT
