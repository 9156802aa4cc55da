"""The live session with scripted vendors and an in-memory sink: words, seams, accounting, degradation."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from omi.errors import ErrorKind, ProviderError
from tests.transcription.fakes import MemorySink, NoBreaker, Script, spoken_pcm
from transcription import journal
from transcription.codecs import codec
from transcription.live.state import Tuning
from transcription.live.voices import Voices
from transcription.live.window import AudioWindow
from transcription.ports import VoiceLabel
from transcription.segments import Word
from transcription.session import Session
from transcription.surroundings import Output, Plan, Surroundings

FAST = Tuning(connect=1.0, keep_alive=0.2, stall=1.0, backoff=0.05, max_backoff=0.2)


class Run:
    """A session with everything that it said."""

    def __init__(
        self,
        *vendors: Script,
        mode: str = "parallel",
        sink: MemorySink | None = None,
        watch: bool = True,
        **around: Any,
    ) -> None:
        self.sink = sink or MemorySink()
        self.shown: list[str] = []
        self.statuses: list[dict[str, Any]] = []
        around = {"gate": False, "gap_seconds": 120.0, **around}
        self.session = Session(
            Plan(uid="u1", codec=codec("pcm16"), watch=watch),
            Surroundings(
                sink=self.sink, vendors=vendors, breaker=lambda name: NoBreaker(), mode=mode, tuning=FAST, **around
            ),
            Output(
                segments=lambda deltas: self.shown.extend(word for delta in deltas for word in delta.text.split()),
                updated=lambda segments: None,
                status=self.statuses.append,
            ),
        )

    async def feed(self, pcm: bytes, *, step: int = 3200, pause: float = 0.002) -> None:
        for at in range(0, len(pcm), step):
            self.session.feed([pcm[at : at + step]])
            await asyncio.sleep(pause)

    def states(self) -> list[str]:
        return [status["status"] for status in self.statuses]


def words(*numbers: int) -> list[str]:
    return [f"w{number}" for number in numbers]


def drop(code: str = "dropped") -> ProviderError:
    return ProviderError("alpha", "the connection was lost", kind=ErrorKind.TRANSIENT, code=code)


def quota() -> ProviderError:
    return ProviderError("alpha", "no credit is left", kind=ErrorKind.QUOTA, code="402")


def run(work: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 30))


TEN = list(range(1, 11))


def test_every_word_is_shown_once_and_stored_in_conversation_time() -> None:
    async def work() -> Run:
        it = Run(Script())
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        await it.session.finish("disconnect")
        return it

    it = run(work)
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


def test_a_dropped_vendor_is_reconnected_and_gets_what_it_missed() -> None:
    async def work() -> Run:
        it = Run(Script(fail_after=[(1.9, drop()), (1.3, drop())]))
        it.session.start()
        await it.feed(spoken_pcm(TEN), pause=0.01)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert it.shown == words(*TEN)
    assert it.sink.finished[0].accounting.failed == 0  # type: ignore[union-attr]


def test_parallel_shows_the_next_vendor_without_gap_or_repeated_word() -> None:
    async def work() -> Run:
        it = Run(Script("alpha", fail_after=[(2.2, quota())]), Script("beta"))
        it.session.start()
        await it.feed(spoken_pcm(TEN), pause=0.01)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert it.shown == words(*TEN)
    providers = {segment.stt_provider for segment in it.sink.stored["c0"]}
    assert providers == {"alpha_streaming", "beta_streaming"}
    assert set(it.sink.transcripts["c0"]) == {"alpha_streaming", "beta_streaming", "consensus"}
    assert " ".join(item.text for item in it.sink.transcripts["c0"]["consensus"]).split() == words(*TEN)


@pytest.mark.parametrize("alone", [True, False])
def test_a_fault_of_our_own_in_one_vendors_part_makes_nobody_deaf(alone: bool) -> None:
    """It is tried again, and another vendor's words go on meanwhile; the vendor's breaker hears nothing of it."""

    async def work() -> Run:
        faulty = Script("alpha", fail_after=[(2.2, KeyError("ours"))])  # type: ignore[list-item]
        it = Run(faulty, *([] if alone else [Script("beta")]))
        it.session.start()
        await it.feed(spoken_pcm(TEN), pause=0.01)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert it.shown == words(*TEN)
    assert it.sink.finished[0].accounting.failed == 0  # type: ignore[union-attr]
    assert not any(leg.breaker.failures for leg in it.session._supervisor.legs)  # type: ignore[attr-defined]


def test_failover_feeds_the_next_vendor_what_the_failed_one_did_not_finish() -> None:
    async def work() -> tuple[Run, Script]:
        second = Script("beta")
        it = Run(Script("alpha", fail_after=[(2.2, quota())]), second, mode="failover")
        it.session.start()
        await it.feed(spoken_pcm(TEN), pause=0.01)
        await it.session.finish("disconnect")
        return it, second

    it, second = run(work)
    assert it.shown == words(*TEN)
    assert len(second.streams[0].audio) < 4.5 * 32000


def test_repeated_finals_are_shown_once() -> None:
    async def work() -> Run:
        it = Run(Script(repeat_finals=True))
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        await it.session.finish("disconnect")
        return it

    assert run(work).shown == words(*TEN)


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
    """omi-protocol 1.7 (issue 6052): a vendor outage never ends the session."""

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
    async def work() -> Run:
        it = Run(Script(delay=0.02))
        it.session._window._keep = 16000  # one second in memory
        it.session.start()
        await it.feed(spoken_pcm(list(range(1, 41))), pause=0)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert it.shown == words(*range(1, 41))


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

    async def store(self, session: Any, conversation: Any, segments: Any, **more: Any) -> None:
        first, self.writing = not self.writing, True
        held = [segment.model_copy() for segment in segments]
        if first:
            await asyncio.shield(asyncio.ensure_future(self._later(session, conversation, held, **more)))
        else:
            await super().store(session, conversation, held, **more)

    async def _later(self, session: Any, conversation: Any, segments: Any, **more: Any) -> None:
        await asyncio.sleep(0.5)
        await super().store(session, conversation, segments, **more)


def test_a_session_without_a_word_and_without_speech_leaves_nothing_behind() -> None:
    async def work() -> Run:
        it = Run(Script(), gate=True)
        it.session.start()
        await it.feed(b"\0" * 64000)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert not it.sink.finished
    assert journal.find(it.session.info.session_id) is None


@pytest.mark.parametrize("watch", [True, False])
def test_the_audio_of_a_session_that_only_transcribes_goes_with_it(watch: bool) -> None:
    """``new_memory_watch=false`` stores nothing: no run will ever ask for the journal, or release it."""

    async def work() -> Run:
        it = Run(Script(), watch=watch)
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert it.shown == words(*TEN)
    assert (journal.find(it.session.info.session_id) is not None) is watch


def test_silence_that_the_user_asked_to_keep_leaves_no_audio_either() -> None:
    async def work() -> Run:
        it = Run(Script(), gate=True)
        it.session.start()
        await it.feed(b"\0" * 64000)
        await it.session.finish("finish", keep=True)
        return it

    assert journal.find(run(work).session.info.session_id) is None


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


class Labeller:
    """Says that the voice whose clips are all odd numbers is the user. ``profile``: whether anybody is enrolled."""

    def __init__(self, *, profile: bool = True, broken: bool = False) -> None:
        self.profile, self.broken = profile, broken
        self.asked: list[dict[str, float]] = []

    async def has_profile(self, uid: str) -> bool:
        return self.profile

    async def embed(self, clips: list[Any]) -> list[Any]:
        if self.broken:
            raise ConnectionError("the engine is down")
        odd = [int(np.abs(clip).max()) // 100 % 2 for clip in clips]
        return [np.array([1.0, 0.0] if kind else [0.0, 1.0], np.float32) for kind in odd]

    async def label(self, uid: str, voices: dict[str, Any]) -> dict[str, VoiceLabel]:
        self.asked.append({name: sum(len(clip) for clip in clips) / 16000 for name, clips in voices.items()})
        if self.broken:
            raise ConnectionError("the engine is down")
        odd = {name: {int(np.abs(clip).max()) // 100 % 2 for clip in clips} for name, clips in voices.items()}
        return {name: VoiceLabel(is_user=True, score=0.9) for name, kinds in odd.items() if kinds == {1}}


def said_in_turns(turns: int) -> bytes:
    """Two voices (odd and even numbers) that take turns of eight words, 0.3 s each without a pause."""
    numbers = [2 * (turn * 8 + word) + turn % 2 + 2 for turn in range(turns) for word in range(8)]
    return spoken_pcm(numbers, every=0.3)


def test_the_users_voice_is_named_live_and_the_others_are_not() -> None:
    async def work() -> tuple[Run, Labeller]:
        labeller = Labeller()
        it = Run(Script(diarization=True, voices=2), labeller=labeller)
        it.session.start()
        await it.feed(said_in_turns(8), pause=0.01)
        await it.session.finish("disconnect")
        return it, labeller

    it, labeller = run(work)
    assert all(seconds >= 5.0 for asked in labeller.asked for seconds in asked.values())
    stored = it.sink.stored["c0"]
    assert {(segment.speaker, segment.is_user) for segment in stored} == {("SPEAKER_00", False), ("SPEAKER_01", True)}


def test_a_session_that_goes_on_with_a_conversation_gives_no_label_of_the_earlier_one() -> None:
    """omi-protocol 4.3 no. 18: SPEAKER_00 of two sockets are two voices until they are heard to be one."""

    async def work() -> tuple[MemorySink, list[set[str]]]:
        sink, ids = MemorySink(), []
        for _ in range(2):
            it = Run(Script(diarization=True, voices=2), sink=sink, labeller=Labeller())
            it.session.start()
            await it.feed(said_in_turns(6), pause=0.01)
            await it.session.finish("disconnect")
            ids.append({item.id for item in it.session.segments})
        return sink, ids

    sink, ids = run(work)
    [stored] = sink.stored.values()
    labels = [{item.speaker for item in stored if item.id in own} for own in ids]
    assert labels == [{"SPEAKER_00", "SPEAKER_01"}, {"SPEAKER_02", "SPEAKER_03"}]
    assert {item.speaker for item in stored if item.is_user} == {"SPEAKER_01", "SPEAKER_03"}


def test_a_name_that_comes_while_speakers_get_other_labels_lands_on_the_right_one() -> None:
    async def work() -> list[str]:
        asked, answer = asyncio.Event(), asyncio.Event()

        class Slow(Labeller):
            async def label(self, uid: str, voices: dict[str, Any]) -> dict[str, VoiceLabel]:
                asked.set()
                await answer.wait()
                return {name: VoiceLabel(is_user=True) for name in voices}

        window, named = AudioWindow(None), []
        window.append(spoken_pcm([1] * 20))
        voices = Voices("u1", Slow(), window, lambda label, voice: named.append(label))
        for index in range(3):
            voices.note("SPEAKER_00", index * 3.0, index * 3.0 + 2.5)
        voices.note("SPEAKER_01", 9.0, 9.5)
        voices.tick()
        await asked.wait()
        voices.rename({"SPEAKER_00": "SPEAKER_02", "SPEAKER_01": "SPEAKER_03"})
        answer.set()
        assert voices._asking is not None
        await voices._asking
        return named

    assert run(work) == ["SPEAKER_02"]


def test_without_a_profile_nobody_is_the_user_and_nothing_is_embedded() -> None:
    """omi-protocol 4.3 no. 1."""

    async def work() -> tuple[Run, Labeller]:
        labeller = Labeller(profile=False)
        it = Run(Script(diarization=True, voices=2), labeller=labeller)
        it.session.start()
        await it.feed(said_in_turns(8), pause=0.01)
        await it.session.finish("disconnect")
        return it, labeller

    it, labeller = run(work)
    assert labeller.asked == []
    assert not any(segment.is_user for segment in it.sink.stored["c0"])


def test_a_labeller_that_fails_costs_no_word() -> None:
    async def work() -> tuple[Run, Labeller]:
        labeller = Labeller(broken=True)
        it = Run(Script(diarization=True, voices=2), labeller=labeller)
        it.session.start()
        await it.feed(said_in_turns(8), pause=0.01)
        await it.session.finish("disconnect")
        return it, labeller

    it, labeller = run(work)
    assert labeller.asked
    assert len(it.shown) == 64


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


@pytest.mark.parametrize("broken", [False, True])
def test_voices_are_told_apart_for_a_vendor_that_does_not_and_words_never_wait_for_long(broken: bool) -> None:
    async def work() -> Run:
        it = Run(Script(), labeller=Labeller(broken=broken))
        it.session.start()
        talk = said_in_turns(4)
        it.session._window.append(talk)
        turn = len(talk) // 32000 / 4
        for index in range(4):
            spoken = [
                Word(text=f"w{index}{n}", start=index * turn + n * 0.3, end=index * turn + n * 0.3 + 0.3)
                for n in range(8)
            ]
            it.session._words(spoken, "plain_streaming")
        await asyncio.sleep(0.1)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    own = [word for word in it.shown if len(word) == 3 and word[1] in "0123"]
    assert own[:32] == [f"w{index}{n}" for index in range(4) for n in range(8)]
    speakers = {segment.speaker for segment in it.sink.stored["c0"] if segment.stt_provider == "plain_streaming"}
    assert speakers == ({"SPEAKER_00"} if broken else {"SPEAKER_00", "SPEAKER_01"})


def test_what_several_vendors_agree_on_is_kept_as_consensus_in_the_shown_segments() -> None:
    async def work() -> Run:
        vendors = [Script("alpha", mishears={3: "wrong"}), Script("beta"), Script("gamma", mishears={7: "wrong"})]
        it = Run(*vendors)
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        await it.session.finish("disconnect")
        return it

    it = run(work)
    assert "wrong" in it.sink.text()
    stored = it.sink.transcripts["c0"]
    assert set(stored) == {"alpha_streaming", "beta_streaming", "gamma_streaming", "consensus"}
    assert " ".join(item.text for item in stored["consensus"]).split() == words(*TEN)
    assert {item.id for item in stored["consensus"]} <= {item.id for item in it.sink.stored["c0"]}


def test_one_vendor_alone_makes_no_vote() -> None:
    async def work() -> Run:
        it = Run(Script())
        it.session.start()
        await it.feed(spoken_pcm(TEN))
        await it.session.finish("disconnect")
        return it

    assert set(run(work).sink.transcripts["c0"]) == {"alpha_streaming"}


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


def test_a_voice_is_named_though_its_vendor_is_behind_by_more_than_memory_holds() -> None:
    async def work() -> tuple[Run, Labeller]:
        labeller = Labeller()
        it = Run(Script(diarization=True, voices=2, delay=0.02), labeller=labeller)
        it.session._window._keep = 16000  # one second
        it.session.start()
        await it.feed(said_in_turns(8), pause=0.001)
        await it.session.finish("disconnect")
        return it, labeller

    it, labeller = run(work)
    assert labeller.asked
    stored = it.sink.stored["c0"]
    assert {(segment.speaker, segment.is_user) for segment in stored} == {("SPEAKER_00", False), ("SPEAKER_01", True)}
