"""Naming the voices of a recording."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from django.test import override_settings
from rest_framework.test import APIClient

from memories.repository.memories import create_memory
from memories.shapes import Memory
from omi.core.errors import ErrorKind, ProviderError
from omi.core.providers import one
from speakers import identify as module
from speakers import people
from speakers.clips import BadRecording
from speakers.explain import explain
from speakers.identify import identify
from speakers.models import ProfileVersion, SpeakerDecision, pack
from speakers.reasons import Reason
from speakers.shapes import Person

from .conftest import RATE, UID, Talk, WriteWav, noise


class BrokenVoices:
    name, version, dimension = "campplus", "zh-en-advanced", 192

    def embed_segments(self, pcm: object, segments: object) -> np.ndarray:
        raise ProviderError("voices", "the voice engine stopped", kind=ErrorKind.TRANSIENT)


def names(talk: Talk, result: module.Identification, david: Person | None) -> list[bool]:
    """Whether each segment carries the right label."""
    person_id = david.id if david else None
    return [
        (segment.is_user, segment.person_id)
        == (turn["speaker"] == "Anna", person_id if turn["speaker"] == "David" else None)
        for segment, turn in zip(result.segments, talk.turns, strict=True)
    ]


def test_user_person_and_stranger_are_told_apart(david: Person, talk: Talk, wav: WriteWav) -> None:
    result = identify(UID, wav(talk.pcm), talk.segments())
    assert all(names(talk, result, david))
    assert [segment.id for segment in result.segments] == [segment.id for segment in talk.segments()]
    assert [segment.text for segment in result.segments] == [turn["text"] for turn in talk.turns]


def test_with_only_the_user_enrolled_the_others_are_unknown(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    """A fault of the original: every segment of a second or more became the user's."""
    result = identify(enrolled, wav(talk.pcm), talk.segments())
    assert all(names(talk, result, None))
    assert {voice.reason for voice in result.voices if not voice.is_user} == {Reason.BELOW_THRESHOLD}


def test_a_recording_without_the_user_names_nobody(david: Person, talk: Talk, wav: WriteWav) -> None:
    """A fault of the original: the tie between nobody and nobody went to the user."""
    segments = [segment for segment in talk.segments() if segment.speaker == "SPEAKER_02"]
    result = identify(UID, wav(talk.pcm), segments)
    assert not any(segment.is_user or segment.person_id for segment in result.segments)


def test_segments_under_a_second_inherit_the_decision_of_their_voice(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    """A fault of the original: such segments never got a speaker."""
    segments = talk.segments()
    turn = next(index for index, item in enumerate(talk.turns) if item["speaker"] == "Anna")
    start = segments[turn].start
    segments.append(segments[turn].model_copy(update={"id": "short", "start": start, "end": start + 0.4, "text": "It"}))
    result = identify(enrolled, wav(talk.pcm), segments)
    assert result.segments[-1].is_user


def test_the_audio_is_cut_in_the_recordings_own_time(david: Person, talk: Talk, wav: WriteWav) -> None:
    """A fault of the original: times counted from the first word were used on audio with its lead-in still there."""
    lead_in = noise(3.0, level=30.0)
    recording = wav(np.concatenate([lead_in, talk.pcm]))
    assert all(names(talk, identify(UID, recording, talk.segments(shift=3.0)), david))
    # The same segments with the offset said instead of shifted.
    assert all(names(talk, identify(UID, recording, talk.segments(), audio_offset=-3.0), david))


def test_segments_of_another_time_base_are_mapped_by_the_offset(david: Person, talk: Talk, wav: WriteWav) -> None:
    """A fault of the original: live segments were matched against trimmed audio of another time base."""
    trimmed = talk.pcm[int(talk.turns[3]["start"] * RATE) :]
    result = identify(UID, wav(trimmed), talk.segments(), audio_offset=talk.turns[3]["start"])
    assert all(names(talk, result, david))


def test_a_failing_engine_raises_and_erases_no_label(
    david: Person, talk: Talk, wav: WriteWav, settings: object
) -> None:
    """A fault of the original: when the service was down, the default "nobody" erased good labels."""
    from django.conf import settings as live

    segments = talk.segments()
    segments[1] = segments[1].model_copy(update={"is_user": True})
    with (
        override_settings(
            PROVIDERS={**live.PROVIDERS, "voices": {"BACKEND": "tests.speakers.test_identify.BrokenVoices"}}
        ),
        pytest.raises(ProviderError),
    ):
        identify(UID, wav(talk.pcm), segments, memory_id="m1")
    assert segments[1].is_user
    assert not SpeakerDecision.objects.exists()


def test_labels_that_cannot_be_judged_stay(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    """No word of theirs is in the recording: nothing is known against the live label."""
    segments = [segment.model_copy(update={"is_user": True}) for segment in talk.segments(shift=10_000)]
    result = identify(enrolled, wav(talk.pcm), segments)
    assert all(segment.is_user for segment in result.segments)
    assert {voice.reason for voice in result.voices} == {Reason.TOO_LITTLE_SPEECH}


def test_without_any_profile_labels_stay_and_nothing_is_embedded(db: None, talk: Talk, wav: WriteWav) -> None:
    segments = talk.segments()
    segments[0] = segments[0].model_copy(update={"is_user": True})
    result = identify("nobody", wav(talk.pcm), segments)
    assert result.segments == segments
    assert {voice.reason for voice in result.voices} == {Reason.NO_PROFILES}


def test_a_live_mistake_is_put_right(david: Person, talk: Talk, wav: WriteWav) -> None:
    wrong = [segment.model_copy(update={"is_user": True}) for segment in talk.segments()]
    assert all(names(talk, identify(UID, wav(talk.pcm), wrong), david))


def test_labels_set_by_a_person_are_never_changed(david: Person, talk: Talk, wav: WriteWav) -> None:
    segments = talk.segments()
    stranger = next(item for item in segments if item.speaker == "SPEAKER_02")
    anna = next(item for item in segments if item.speaker == "SPEAKER_01")
    manual = {
        "SPEAKER_00": {"is_user": True, "person_id": None},
        stranger.id: {"is_user": False, "person_id": david.id},
        anna.id: {"is_user": False, "person_id": None},
    }
    result = {item.id: item for item in identify(UID, wav(talk.pcm), segments, manual=manual).segments}
    assert all(item.is_user for item in result.values() if item.speaker == "SPEAKER_00")
    # One named segment names its voice.
    assert {item.person_id for item in result.values() if item.speaker == "SPEAKER_02"} == {david.id}
    # A person said which voice is the user: another voice is not, whatever is heard.
    assert not any(item.is_user for item in result.values() if item.speaker == "SPEAKER_01")
    # "Not known" of one segment says nothing of the others.
    nobody = {anna.id: manual[anna.id]}
    result = {item.id: item for item in identify(UID, wav(talk.pcm), segments, manual=nobody).segments}
    assert not result[anna.id].is_user
    assert all(item.is_user for item in result.values() if item.speaker == "SPEAKER_01" and item.id != anna.id)


def test_a_deleted_person_is_named_by_nothing(david: Person, talk: Talk, wav: WriteWav) -> None:
    segments = [item.model_copy(update={"person_id": david.id}) for item in talk.segments()]
    people.delete_person(UID, david.id)
    manual = {segments[0].id: {"is_user": False, "person_id": david.id}}
    result = identify(UID, wav(talk.pcm), segments, manual=manual, memory_id="m1")
    assert all(segment.person_id is None for segment in result.segments)
    assert all(voice["person_id"] is None for voice in explain(UID, "m1")["voices"])


def test_a_person_of_another_user_is_no_candidate(david: Person, talk: Talk, wav: WriteWav) -> None:
    result = identify("somebody-else", wav(talk.pcm), talk.segments())
    assert not any(segment.person_id or segment.is_user for segment in result.segments)


def test_five_hundred_people_change_neither_the_answer_nor_much_of_the_time(
    david: Person, talk: Talk, wav: WriteWav, django_assert_max_num_queries: object
) -> None:
    rng = np.random.default_rng(0)
    crowd = [f"crowd-{number}" for number in range(500)]
    own = ProfileVersion.objects.get(person_id=david.id)
    ProfileVersion.objects.bulk_create(
        ProfileVersion(
            uid=UID,
            person_id=person_id,
            number=1,
            engine=own.engine,
            engine_version=own.engine_version,
            vector=pack(np.abs(rng.normal(size=one("voices").dimension)).astype(np.float32)),
            voiced_seconds=20,
            reason="test",
        )
        for person_id in crowd
    )
    now = datetime.now(UTC)
    for person_id in crowd:
        named = Person(id=person_id, name=person_id, created_at=now, updated_at=now)
        one("documents").create(f"users/{UID}/people/{person_id}", named.model_dump())
    assert len(people.list_people(UID)) == 501
    recording, segments = wav(talk.pcm), talk.segments()
    began = time.monotonic()
    with django_assert_max_num_queries(20):
        result = identify(UID, recording, segments)
    assert time.monotonic() - began < 20
    assert all(names(talk, result, david))


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2)])
def test_another_rate_or_stereo_is_refused_loudly(
    enrolled: str, talk: Talk, wav: WriteWav, rate: int, channels: int
) -> None:
    with pytest.raises(BadRecording):
        identify(enrolled, wav(talk.pcm[: RATE * 4], rate=rate, channels=channels), talk.segments())


def test_the_explanation_names_score_runner_up_and_evidence(david: Person, talk: Talk, wav: WriteWav) -> None:
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    told = explain(UID, "m1")
    anna = next(voice for voice in told["voices"] if voice["speaker"] == "SPEAKER_01")
    assert anna["is_user"]
    assert anna["evidence_seconds"] >= 5
    assert anna["runner_up"]["name"] == "David"
    assert anna["margin"] == pytest.approx(anna["score"] - anna["runner_up_score"], abs=0.001)
    assert anna["engine"] == "campplus"
    assert anna["turns"]
    assert explain("somebody-else", "m1")["voices"] == []


def test_the_route_tells_the_decision_and_a_stranger_gets_404(
    api: Callable[..., APIClient], enrolled: str, talk: Talk, wav: WriteWav
) -> None:
    now = datetime.now(UTC)
    memory = Memory(id="m1", created_at=now, started_at=now, transcript_segments=talk.segments())
    create_memory(UID, memory)
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    told = {item["speaker"]: item["decision"] for item in api().get("/v1/memories/m1/speakers").json()}
    assert told["SPEAKER_01"]["is_user"]
    assert told["SPEAKER_01"]["reason"] == "accepted"
    assert told["SPEAKER_02"]["reason"] == "below_threshold"
    assert told["SPEAKER_02"]["sentence"]
    assert api("stranger").get("/v1/memories/m1/speakers").status_code == 404


def test_a_close_call_is_offered_as_a_suggestion(david: Person) -> None:
    SpeakerDecision.objects.create(
        uid=UID, memory_id="m1", voice="SPEAKER_02", reason="below_threshold", suggestion=david.id
    )
    told = explain(UID, "m1")
    assert [item["sentence"] for item in told["suggestions"]] == ["Speaker 2 is probably David."]
    people.delete_person(UID, david.id)
    assert explain(UID, "m1")["suggestions"] == []


def test_an_hour_is_not_embedded_in_full(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    repeats = 6  # each voice says twice as much as is embedded of one
    pcm = np.tile(talk.pcm, repeats)
    length = len(talk.pcm) / RATE
    segments = [
        item.model_copy(update={"id": f"{n}-{item.id}", "start": item.start + n * length, "end": item.end + n * length})
        for n in range(repeats)
        for item in talk.segments()
    ]
    result = identify(enrolled, wav(pcm), segments)
    assert result.heard <= 3 * 60.0 + 1
    assert sum(segment.is_user for segment in result.segments) == repeats * sum(
        turn["speaker"] == "Anna" for turn in talk.turns
    )
