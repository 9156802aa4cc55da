"""The user's voice while it streams."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from omi.core.providers import one
from speakers import people
from speakers.engines.client import WorkerClient
from speakers.live import LiveLabeller, label_voices
from speakers.shapes import Person
from transcription.ports import VoiceLabel
from transcription.session.voices import Voices
from transcription.session.window import AudioWindow

from .conftest import RATE, UID, Talk


def clips(pcm: NDArray[np.int16], seconds: float) -> list[NDArray[np.int16]]:
    """The first ``seconds`` as clips of 2 s, as a session cuts them."""
    return [pcm[at : at + 2 * RATE] for at in range(0, int(seconds * RATE), 2 * RATE)]


def test_the_user_is_recognised_within_ten_seconds_of_their_speech(enrolled: str, talk: Talk) -> None:
    labels = label_voices(UID, {"SPEAKER_00": clips(talk.of("Anna"), 10)})
    assert labels["SPEAKER_00"].is_user
    assert labels["SPEAKER_00"].evidence_seconds >= 5


def nobody(label: VoiceLabel) -> bool:
    return not label.is_user and label.person_id is None


def test_every_voice_gets_an_answer_and_strangers_are_nobody(david: Person, talk: Talk) -> None:
    voices = {name: clips(talk.of(name), 12) for name in ("Anna", "David", "Peter")}
    labels = label_voices(UID, voices)
    assert labels["Anna"].is_user
    assert labels["David"].person_id == david.id
    assert nobody(labels["Peter"])
    assert labels["Peter"].judged, "an earlier name would be taken back"


def test_after_a_switch_of_vendor_the_user_is_found_under_the_new_label(enrolled: str, talk: Talk) -> None:
    """A fault of the original: labels of the second socket had nothing to do with those of the first."""
    anna = talk.of("Anna")
    before = label_voices(UID, {"SPEAKER_00": clips(anna, 8), "SPEAKER_01": clips(talk.of("Peter"), 8)})
    after = label_voices(UID, {"SPEAKER_00": clips(talk.of("Peter"), 8), "SPEAKER_01": clips(anna[8 * RATE :], 8)})
    assert [label for label in before if before[label].is_user] == ["SPEAKER_00"]
    assert [label for label in after if after[label].is_user] == ["SPEAKER_01"]


def test_a_second_of_speech_decides_nothing(enrolled: str, talk: Talk) -> None:
    label = label_voices(UID, {"SPEAKER_00": [talk.of("Anna")[:RATE]]})["SPEAKER_00"]
    assert nobody(label)
    assert not label.judged, "and takes nothing back"


def test_a_name_on_little_speech_is_provisional(enrolled: str, talk: Talk) -> None:
    anna = talk.of("Anna")
    early = label_voices(UID, {"SPEAKER_00": [anna[: 6 * RATE]]})["SPEAKER_00"]
    earned = label_voices(UID, {"SPEAKER_00": clips(anna, 14)})["SPEAKER_00"]
    assert early.is_user
    assert early.provisional
    assert earned.is_user
    assert not earned.provisional


def test_what_was_embedded_once_is_not_embedded_again(
    enrolled: str, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    anna = clips(talk.of("Anna"), 12)
    label_voices(UID, {"SPEAKER_00": anna})
    asked: list[int] = []
    real = WorkerClient.embed
    monkeypatch.setattr(WorkerClient, "embed", lambda *args: (asked.append(1), real(*args))[1])
    assert label_voices(UID, {"SPEAKER_00": anna})["SPEAKER_00"].is_user
    assert asked == []


@pytest.mark.parametrize("clip", [np.zeros(0, np.int16), np.zeros(RATE * 10, np.int16), np.ones(7, np.int16)])
def test_empty_clips_are_no_error(enrolled: str, clip: NDArray[np.int16]) -> None:
    found = label_voices(UID, {"SPEAKER_00": [clip], "SPEAKER_01": []})
    assert {(nobody(label), label.judged) for label in found.values()} == {(True, False)}


def test_without_a_profile_the_engine_is_not_asked(db: None, talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speakers.live.one", lambda _: pytest.fail("the engine was asked"))
    assert label_voices("nobody", {"SPEAKER_00": clips(talk.of("Anna"), 10)}) == {}


@pytest.mark.django_db(transaction=True)
def test_the_port_is_async_and_knows_who_has_a_profile(enrolled: str, talk: Talk) -> None:
    async def ask() -> tuple[bool, bool, bool]:
        labeller = LiveLabeller()
        labels = await labeller.label(UID, {"SPEAKER_00": clips(talk.of("Anna"), 10)})
        return labels["SPEAKER_00"].is_user, await labeller.has_profile(UID), await labeller.has_profile("nobody")

    assert asyncio.run(ask()) == (True, True, False)


def test_listeners_have_a_child_of_their_own(enrolled: str) -> None:
    voices = one("voices")
    assert voices.live() is voices.live()
    assert voices.live() is not voices


def test_of_many_people_only_those_who_are_named_are_looked_up(
    david: Person, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "names", lambda uid: pytest.fail("every person was read"))
    asked: list[str] = []
    real = people.get_person
    monkeypatch.setattr(people, "get_person", lambda uid, person: (asked.append(person), real(uid, person))[1])
    found = label_voices(UID, {"SPEAKER_00": clips(talk.of("David"), 12), "SPEAKER_02": clips(talk.of("Peter"), 12)})
    assert [voice.person_id for voice in found.values()] == [david.id, None]
    assert asked == [david.id]


def test_a_person_that_another_program_deleted_is_not_named_live(david: Person, talk: Talk) -> None:
    one("documents").update(f"users/{UID}/people/{david.id}", {"deleted": True})
    assert nobody(label_voices(UID, {"SPEAKER_00": clips(talk.of("David"), 12)})["SPEAKER_00"])


def streamed(talk: Talk, names: dict[str, str]) -> list[tuple[str, VoiceLabel, float]]:
    """The bundled conversation through ``Voices``, as a session drives it: each word when it has been said, a tick a
    second. Each decision with the seconds that this voice had spoken by then (true turns)."""
    decided: list[tuple[str, VoiceLabel, float]] = []
    now = 0.0

    def named(label: str, voice: VoiceLabel) -> None:
        own = [turn for turn in talk.turns if names[turn["speaker"]] == label]
        decided.append((label, voice, sum(max(0.0, min(turn["end"], now) - turn["start"]) for turn in own)))

    async def session() -> None:
        nonlocal now
        window = AudioWindow(None)
        voices = Voices(UID, LiveLabeller(), window, named)
        words = sorted(talk.words, key=lambda word: word["end"])
        for second in range(1, len(talk.pcm) // RATE + 2):
            window.append(talk.pcm[(second - 1) * RATE : second * RATE].astype("<i2").tobytes())
            now = float(second)
            while words and words[0]["end"] <= second:
                word = words.pop(0)
                middle = (word["start"] + word["end"]) / 2
                speaker = next((t["speaker"] for t in talk.turns if t["start"] <= middle <= t["end"]), None)
                if speaker is not None:
                    voices.note(names[speaker], word["start"], word["end"])
            voices.tick()
            if voices._asking is not None:
                await voices._asking
        await voices.settle()

    asyncio.run(asyncio.wait_for(session(), 60))
    return decided


@pytest.mark.django_db(transaction=True)
def test_in_a_streamed_conversation_the_user_is_named_within_ten_seconds_of_their_speech(
    david: Person, talk: Talk
) -> None:
    decided = streamed(talk, {"David": "SPEAKER_00", "Anna": "SPEAKER_01", "Peter": "SPEAKER_02"})
    label, voice, spoken = next(item for item in decided if item[1].is_user)
    assert label == "SPEAKER_01"
    assert spoken <= 10.0, f"decided after {spoken:.1f} s of their speech, {voice.evidence_seconds} s of evidence"
    assert {name: (found.is_user, found.person_id) for name, found, _ in decided if not nobody(found)} == {
        "SPEAKER_00": (False, david.id),
        "SPEAKER_01": (True, None),
    }, "and the stranger is nobody at any time"
