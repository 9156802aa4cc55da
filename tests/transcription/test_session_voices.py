"""Who speaks in a live session: the user's voice, labels that mean one socket only, and an engine that fails."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from tests.transcription.fakes import MemorySink, Script, spoken_pcm
from tests.transcription.live_session import Labeller, Run, lived, run, said_in_turns
from transcription.ports import VoiceLabel
from transcription.segments import Word
from transcription.session import voices
from transcription.session.voices import Voices
from transcription.session.window import AudioWindow


def two_voices(labeller: Labeller, *, delay: float = 0.0, sink: MemorySink | None = None) -> Run:
    return Run(Script(diarization=True, voices=2, delay=delay), sink=sink, labeller=labeller)


def test_the_users_voice_is_named_live_and_the_others_are_not() -> None:
    labeller = Labeller()
    it = lived(two_voices(labeller), said_in_turns(8), pause=0.01)
    assert all(max(asked.values()) >= 5.0 for asked in labeller.asked)
    stored = it.sink.stored["c0"]
    assert {(segment.speaker, segment.is_user) for segment in stored} == {("SPEAKER_00", False), ("SPEAKER_01", True)}


def test_a_voice_is_named_though_its_vendor_is_behind_by_more_than_memory_holds() -> None:
    labeller = Labeller()
    it = two_voices(labeller, delay=0.02)
    it.session._window._keep = 16000  # one second
    lived(it, said_in_turns(8), pause=0.001)
    assert labeller.asked
    stored = it.sink.stored["c0"]
    assert {(segment.speaker, segment.is_user) for segment in stored} == {("SPEAKER_00", False), ("SPEAKER_01", True)}


def test_a_session_that_goes_on_with_a_conversation_gives_no_label_of_the_earlier_one() -> None:
    """SPEAKER_00 of two sockets are two voices until they are heard to be one."""
    sink, ids = MemorySink(), []
    for _ in range(2):
        it = lived(two_voices(Labeller(), sink=sink), said_in_turns(6), pause=0.01)
        ids.append({item.id for item in it.session.segments})
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
    labeller = Labeller(profile=False)
    it = lived(two_voices(labeller), said_in_turns(8), pause=0.01)
    assert labeller.asked == []
    assert not any(segment.is_user for segment in it.sink.stored["c0"])


def test_a_labeller_that_fails_costs_no_word() -> None:
    labeller = Labeller(broken=True)
    it = lived(two_voices(labeller), said_in_turns(8), pause=0.01)
    assert labeller.asked
    assert len(it.shown) == 64


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


def in_pieces(turns: list[tuple[int, float, list[list[float]]]]) -> list[tuple[str, str]]:
    """(speaker, words) of what is shown. Each turn: whose (odd or even) number its audio is, its seconds, and when its
    words begin, in the batches in which an engine gives them. Each batch comes once all of the turn has been said."""

    async def work() -> Run:
        it = Run(Script(), labeller=Labeller())
        it.session.start()
        for number, seconds, batches in turns:
            it.session._window.append(np.full(round(seconds * 16000), number * 100, "<i2").tobytes())
            for batch in batches:
                it.session._words(
                    [Word(text=f"v{number}", start=start, end=start + 0.3) for start in batch], "plain_streaming"
                )
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    return [(item.speaker, item.text) for item in it.sink.stored["c0"] if item.stt_provider == "plain_streaming"]


def test_the_first_words_of_a_turn_are_not_the_last_speakers_though_each_batch_is_short() -> None:
    """An engine that shows words while a sentence goes on gives less than a second at a time: until all of a second was
    said, the beginning of each turn was shown under the name of whoever spoke before (a fifth of all words)."""
    shown = in_pieces(
        [
            (1, 2.4, [[0.0, 0.3], [0.6, 0.9], [1.2, 1.5]]),
            (2, 2.4, [[2.4, 2.7], [3.0, 3.3], [3.6, 3.9]]),
            (1, 2.4, [[4.8, 5.1], [5.4, 5.7], [6.0, 6.3]]),
        ]
    )
    assert shown == [
        ("SPEAKER_00", " ".join(["v1"] * 6)),
        ("SPEAKER_01", " ".join(["v2"] * 6)),
        ("SPEAKER_00", " ".join(["v1"] * 6)),
    ]


def test_words_before_and_after_a_pause_may_be_two_peoples_though_they_come_together() -> None:
    shown = in_pieces([(1, 2.0, []), (2, 2.0, [[0.5, 0.8, 1.1, 2.0, 2.3, 2.6]])])
    assert [speaker for speaker, _ in shown] == ["SPEAKER_00", "SPEAKER_01"]


@pytest.mark.parametrize("started", [False, True])
def test_only_the_words_that_are_asked_about_wait_for_a_slow_engine(
    started: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine the engine took longer to start than words wait: for a quarter of a minute nobody was told
    apart, then again, and a talk of three people was one speaker's to its end."""
    monkeypatch.setattr(voices, "EMBED_SECONDS", 0.05)

    async def work() -> list[str | None]:
        class Slow(Labeller):
            async def same_utterance(self) -> float:
                await (busy.wait() if not started else asyncio.sleep(0))
                return await super().same_utterance()

            async def embed(self, clips: list[Any]) -> list[Any]:
                await busy.wait()
                return await super().embed(clips)

        busy = asyncio.Event()
        window = AudioWindow(None)
        clustering = voices.OnlineClustering(Slow(), window)
        clustering.prepare()
        await asyncio.sleep(0.01)
        labels = []
        for number in (1, 2, 3, 4):
            if number == 2:
                monkeypatch.setattr(voices, "EMBED_SECONDS", 3600.0)  # these words do not wait, else all ends here
            if number == 3:
                busy.set()
                await asyncio.sleep(0.01)
            start = window.end / 16000
            window.append(np.full(32000, number * 100, "<i2").tobytes())
            [word] = await clustering.told_apart([Word(text="so", start=start, end=start + 0.5)])
            labels.append(word.speaker)
        clustering.close()
        return labels

    assert run(work) == [None, None, "voice/0", "voice/1"]


def test_what_was_told_apart_here_stands_in_the_stored_transcript_of_the_engine_too() -> None:
    """The local engine's live transcript was stored with one speaker while 99 % of the shown labels were right."""

    async def work() -> Run:
        it = Run(Script(utterance=8), labeller=Labeller())
        it.session.start()
        await it.feed(said_in_turns(4), pause=0.02)
        await it.session.finish("disconnect")
        return it

    it = run(work)
    shown = [(item.speaker, item.text) for item in it.sink.stored["c0"]]
    stored = [(item.speaker, item.text) for item in it.sink.transcripts["c0"]["alpha_streaming"]]
    words_of: dict[str, dict[str, str]] = {"shown": {}, "stored": {}}
    for name, segments in (("shown", shown), ("stored", stored)):
        for speaker, text in segments:
            words_of[name].update(dict.fromkeys(text.split(), speaker))
    assert len(set(words_of["stored"].values())) == len(set(words_of["shown"].values())) == 2
    pairs = {(words_of["shown"][word], words_of["stored"][word]) for word in words_of["shown"]}
    assert len(pairs) == 2, "each shown voice is one stored voice"


class Judge(Labeller):
    """Names SPEAKER_01 the first time, and nobody after that."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[set[str]] = []

    async def label(self, uid: str, voices: dict[str, Any]) -> dict[str, VoiceLabel]:
        self.given.append(set(voices))
        first = len(self.given) == 1
        return {name: VoiceLabel(is_user=first and name == "SPEAKER_01", provisional=True) for name in voices}


def test_a_live_name_is_taken_back_when_it_no_longer_holds_and_the_client_is_told() -> None:
    """A wrong early name stayed for ever: voices that were decided were not asked about again."""
    window, named = AudioWindow(None), []

    async def work() -> Judge:
        judge = Judge()
        window.append(spoken_pcm([1] * 40))
        voices = Voices("u1", judge, window, lambda label, voice: named.append((label, voice.is_user)))
        for round_ in range(2):
            for index in range(2):
                start = round_ * 8.0 + index * 3.0
                voices.note("SPEAKER_01", start, start + 2.6)
            voices.note("SPEAKER_00", round_ * 8.0 + 6.5, round_ * 8.0 + 7.5)
            voices._close()
            voices.tick()
            assert voices._asking is not None
            await voices._asking
        return judge

    judge = run(work)
    assert judge.given == [{"SPEAKER_00", "SPEAKER_01"}] * 2, "all voices of the conversation, every time"
    assert named == [("SPEAKER_01", True), ("SPEAKER_01", False)]
