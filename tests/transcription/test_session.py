"""A live session with one vendor that works: its words, what is stored and kept of it, and its end."""

from __future__ import annotations

import asyncio
import errno
import time
from typing import Any

import pytest

from tests.transcription.fakes import MemorySink, Script, spoken_pcm
from tests.transcription.live_session import TEN, Run, drop, lived, run, words
from transcription import journal
from transcription.ports import Piece, VoiceLabel

SILENCE = b"\0" * 64000


def test_every_word_is_shown_once_and_stored_in_conversation_time() -> None:
    it = lived(Run(Script()), spoken_pcm(TEN))
    assert it.shown == words(*TEN)
    assert it.sink.text() == " ".join(words(*TEN))
    starts = [segment.start for segment in it.sink.stored["c0"]]
    assert starts[0] == pytest.approx(0.0, abs=0.02)
    [finished] = it.sink.finished
    account = finished.accounting
    assert account is not None
    assert account.received == pytest.approx(5.0)
    assert account.transcribed + account.silence + account.failed == pytest.approx(account.received)
    assert account.failed == 0
    assert it.sink.transcripts["c0"]["alpha_streaming"]


# --- a store and a disk that fail


def test_a_store_that_is_down_is_told_and_tried_again() -> None:
    async def work() -> Run:
        it = Run(Script())
        it.sink.down = True
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        await asyncio.sleep(1.2)
        assert "degraded" in it.states()
        it.sink.down = False
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert it.sink.text() == " ".join(words(*TEN))
    assert it.sink.finished


def test_a_slow_write_never_lands_after_the_last_one() -> None:
    """The write that is under way when the client goes is waited for: it knows less than the one at the end."""

    async def work() -> Run:
        sink = SlowSink()
        it = Run(Script(), sink=sink)
        it.session.start()
        await it.feed(spoken_pcm(TEN[:5]))
        while not sink.writing:
            await asyncio.sleep(0.01)
        await it.feed(spoken_pcm(TEN[5:]))
        await it.session.finish("disconnect")
        await asyncio.sleep(0.6)
        return it

    it = run(work)
    assert it.sink.text() == " ".join(words(*TEN))


class SlowSink(MemorySink):
    """Its first write takes half a second, in a thread that nothing cancels, as a document store's does."""

    def __init__(self) -> None:
        super().__init__()
        self.writing = False

    async def store(self, session: Any, conversation: Any, pieces: Any, **more: Any) -> None:
        first, self.writing = not self.writing, True
        held = [Piece(piece.number, [item.model_copy() for item in piece.segments]) for piece in pieces]
        if first:
            await asyncio.shield(asyncio.ensure_future(self._later(session, conversation, held, **more)))
        else:
            await super().store(session, conversation, held, **more)

    async def _later(self, session: Any, conversation: Any, pieces: Any, **more: Any) -> None:
        await asyncio.sleep(0.5)
        await super().store(session, conversation, pieces, **more)


def test_what_a_person_assigned_reaches_the_sink_as_an_edit_and_survives_a_store_that_is_down() -> None:
    async def work() -> tuple[Run, str]:
        it = Run(Script())
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        await asyncio.sleep(0.2)
        it.sink.down = True
        identity = it.session.segments[0].id
        assert it.session.assign([identity], VoiceLabel(person_id="p1", score=1.0))
        ending = it.session.finish("disconnect")
        await asyncio.sleep(0.3)
        it.sink.down = False
        await ending
        return it, identity

    it, identity = run(work)
    assert it.sink.assigned[identity].person_id == "p1"
    assert it.sink.stored["c0"][0].person_id == "p1"


def test_a_full_disk_is_told_and_the_session_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "disk full")

    async def work() -> Run:
        it = Run(Script())
        it.session.start()
        await it.feed(spoken_pcm([1, 2]))
        monkeypatch.setattr("transcription.journal.writer.os.pwrite", full)
        await it.feed(spoken_pcm([3, 4]))
        monkeypatch.undo()
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert [status["reason"] for status in it.statuses if status["status"] == "degraded"] == ["journal"]
    assert it.shown == words(1, 2, 3, 4)


# --- the audio that is kept


def test_a_session_without_a_word_and_without_speech_leaves_nothing_behind() -> None:
    it = lived(Run(Script(), gate=True), SILENCE)
    assert not it.sink.finished
    assert journal.find(it.session.info.session_id) is None


@pytest.mark.parametrize("watch", [True, False])
def test_the_audio_of_a_session_that_only_transcribes_goes_with_it(watch: bool) -> None:
    """``new_memory_watch=false`` stores nothing: no run will ever ask for the journal, or release it."""
    it = lived(Run(Script(), watch=watch), spoken_pcm(TEN))
    assert it.shown == words(*TEN)
    assert (journal.find(it.session.info.session_id) is not None) is watch


def test_silence_that_the_user_asked_to_keep_leaves_no_audio_either() -> None:
    it = lived(Run(Script(), gate=True), SILENCE, reason="finish", keep=True)
    assert journal.find(it.session.info.session_id) is None


# --- time


def test_the_gap_ends_the_conversation() -> None:
    async def work() -> Run:
        it = Run(Script(), gap_seconds=2.0)
        it.session.start()
        await it.feed(spoken_pcm([1, 2]) + b"\0" * 96000)
        await asyncio.sleep(0.7)
        assert it.session.over
        await it.session.finish("gap")
        return it

    run(work)


def test_a_jump_of_the_clock_moves_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time

    async def work() -> Run:
        it = Run(Script(fail_after=[(3.0, drop())]))
        it.session.start()
        await it.feed(spoken_pcm(TEN[:5]), pause=0.01)
        monkeypatch.setattr(time, "time", lambda: real() - 7200)
        await it.feed(spoken_pcm(TEN[5:]), pause=0.01)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert it.shown == words(*TEN)
    assert it.sink.finished[0].accounting.received == pytest.approx(5.0)  # type: ignore[union-attr]
