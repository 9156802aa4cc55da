"""Assignments, and what is learned from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi.providers import one
from speakers import gallery, learning
from speakers.identify import identify
from speakers.learning import Assignment, InvalidAssignment, SegmentOutOfRange
from speakers.models import USER, SpeakerDecision, UserThreshold, VoiceSample
from speakers.policy import SHIFT_LIMIT
from speakers.shapes import Person
from transcription.segments import Segment

from .conftest import UID, Talk, WriteWav, noise


@pytest.mark.parametrize("value", ["false", "False", "0", "null", None, ""])
def test_value_false_is_false(value: str | None) -> None:
    """omi-protocol 4.3 no. 26: the string "false" was true."""
    assert learning.parse_assignment("is_user", value) == Assignment(is_user=False)


def test_value_true_and_a_person_are_what_they_say() -> None:
    assert learning.parse_assignment("is_user", "true") == Assignment(is_user=True)
    assert learning.parse_assignment("person_id", "p1") == Assignment(person_id="p1")
    assert learning.parse_assignment("person_id", "null") == Assignment()


@pytest.mark.parametrize(("kind", "value"), [("is_user", "maybe"), ("is_me", "true"), ("", None)])
def test_anything_else_is_refused(kind: str, value: str | None) -> None:
    with pytest.raises(InvalidAssignment):
        learning.parse_assignment(kind, value)


def segments(*speakers: str) -> list[Segment]:
    return [
        Segment(id=str(index), text="word", speaker=speaker, start=index, end=index + 1)
        for index, speaker in enumerate(speakers)
    ]


@pytest.mark.parametrize("index", [-1, 3, 10**9])
def test_an_index_out_of_range_changes_nothing(index: int) -> None:
    """omi-protocol 4.3 no. 26: it was a 500, and labels were stored before the training failed."""
    given = segments("SPEAKER_00", "SPEAKER_01", "SPEAKER_00")
    before = [segment.model_copy() for segment in given]
    with pytest.raises(SegmentOutOfRange):
        learning.label_segments(given, [0, index], Assignment(is_user=True))
    assert given == before


def test_assigning_one_segment_labels_its_whole_voice() -> None:
    done = learning.label_segments(segments("SPEAKER_00", "SPEAKER_01", "SPEAKER_00"), [0], Assignment(person_id="ana"))
    assert [segment.person_id for segment in done.segments] == ["ana", None, "ana"]
    assert done.changed == [0, 2]
    assert done.manual == {"SPEAKER_00": {"is_user": False, "person_id": "ana"}}


def test_one_segment_alone_can_be_assigned() -> None:
    done = learning.label_segments(
        segments("SPEAKER_00", "SPEAKER_00"), [1], Assignment(is_user=True), whole_voice=False
    )
    assert [segment.is_user for segment in done.segments] == [False, True]
    assert list(done.manual) == ["1"]


@given(st.lists(st.sampled_from(["SPEAKER_00", "SPEAKER_01"]), min_size=1, max_size=8), st.data())
def test_labelling_touches_nothing_but_labels(speakers: list[str], data: st.DataObject) -> None:
    given_segments = segments(*speakers)
    index = data.draw(st.integers(0, len(speakers) - 1))
    done = learning.label_segments(given_segments, [index], Assignment(is_user=True))
    bare = {"is_user", "person_id"}
    assert [s.model_dump(exclude=bare) for s in done.segments] == [s.model_dump(exclude=bare) for s in given_segments]
    assert all(s.is_user == (s.speaker == speakers[index]) for s in done.segments)


def learn(person_id: str | None, talk: Talk, wav: WriteWav, name: str = "Anna", **more: object) -> learning.Learned:
    turn = max((t for t in talk.turns if t["speaker"] == name), key=lambda t: t["end"] - t["start"])
    arguments = {"words": len(turn["text"].split()), "memory_id": "m1", "segment_id": "s1", "segment_index": 1, **more}
    words = arguments.pop("words")
    return learning.learn_from_segment(UID, person_id, wav(talk.pcm), turn["start"], turn["end"], words, **arguments)


def test_the_voice_of_the_segment_is_learned_and_no_other(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    """omi-protocol 4.3 no. 7: samples were cut with times that did not match the trimmed recording."""
    learned = learn(None, talk, wav)
    assert learned.code == "learned"
    assert learned.sample is not None
    own = learned.sample.embeddings.get().array
    profile = gallery.candidates(UID, one("voices")).profiles[0]
    assert float(own @ profile) > 0.85
    assert learned.sample.start is not None
    # With the wrong time base another voice is heard: it is not learned silently.
    turn = max((t for t in talk.turns if t["speaker"] == "Peter"), key=lambda t: t["end"] - t["start"])
    wrong = learning.learn_from_segment(
        UID, None, wav(talk.pcm), turn["start"], turn["end"], 20, memory_id="m1", segment_id="s2"
    )
    assert wrong.code == "candidate"
    assert len(gallery.candidates(UID, one("voices")).ids) == 1
    assert VoiceSample.objects.filter(status=VoiceSample.Status.ACCEPTED).count() == 2


def test_the_offset_of_the_recording_is_honoured(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    """omi-protocol 4.3 no. 7, the other way round: a recording that begins later than the segments' time."""
    turn = max((t for t in talk.turns if t["speaker"] == "Anna"), key=lambda t: t["end"] - t["start"])
    cut = talk.pcm[int((turn["start"] - 1) * 16_000) :]
    learned = learning.learn_from_segment(
        UID, None, wav(cut), turn["start"], turn["end"], 20,
        memory_id="m1", segment_id="s1", audio_offset=turn["start"] - 1,
    )  # fmt: skip
    assert learned.code == "learned"


def test_five_words_are_too_few(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    assert learn(None, talk, wav, words=5).code == "too_few_words"
    assert VoiceSample.objects.count() == 1


def test_what_fails_the_gates_teaches_nothing(enrolled: str, wav: WriteWav) -> None:
    learned = learning.learn_from_segment(UID, None, wav(noise(6)), 0.0, 6.0, 20, memory_id="m1", segment_id="s1")
    assert learned.sample is None
    assert learned.code == "empty"


def test_a_voice_that_disagrees_waits_for_confirmation(david: Person, talk: Talk, wav: WriteWav) -> None:
    learned = learn(david.id, talk, wav)
    assert learned.code == "candidate"
    again = learn(david.id, talk, wav, confirmed=True)
    assert again.sample is not None
    again.sample.refresh_from_db()
    assert again.sample.status == VoiceSample.Status.ACCEPTED
    assert again.sample.confirmed


def test_learning_twice_is_learning_once(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    learn(None, talk, wav)
    assert learn(None, talk, wav).code == "known"
    assert VoiceSample.objects.filter(memory_id="m1").count() == 1


def test_reassigning_takes_the_sample_from_whom_it_was_given_to(david: Person, talk: Talk, wav: WriteWav) -> None:
    first = learn(None, talk, wav).sample
    assert first is not None
    learn(david.id, talk, wav, confirmed=True)
    first.refresh_from_db()
    assert first.status == VoiceSample.Status.REMOVED
    assert not first.embeddings.exists()
    assert VoiceSample.objects.get(memory_id="m1", status="accepted").person_id == david.id


def test_a_removed_sample_leaves_the_profile_as_it_was(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    voices = one("voices")
    before = gallery.candidates(UID, voices).profiles
    learn(None, talk, wav)
    assert not np.allclose(gallery.candidates(UID, voices).profiles, before)
    learning.unlearn_segment(UID, "m1", "s1")
    assert np.allclose(gallery.candidates(UID, voices).profiles, before, atol=1e-6)


def test_the_first_sample_of_a_person_makes_them_recognised(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    from speakers import people

    peter = people.create_person(UID, "Peter")
    learned = learn(peter.id, talk, wav, "Peter")
    assert learned.code == "learned"
    result = identify(UID, wav(talk.pcm), talk.segments())
    assert {s.person_id for s in result.segments if s.speaker == "SPEAKER_02"} == {peter.id}


def test_corrections_make_the_threshold_stricter_or_laxer_inside_bounds(
    david: Person, talk: Talk, wav: WriteWav
) -> None:
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    assert learning.record_correction(UID, "m1", "SPEAKER_01", Assignment(person_id=david.id)) > 0
    row = SpeakerDecision.objects.get(voice="SPEAKER_01")
    assert row.manual
    assert row.person_id == david.id
    for number in range(20):
        SpeakerDecision.objects.create(uid=UID, memory_id=f"x{number}", voice="a", is_user=True, reason="accepted")
        learning.record_correction(UID, f"x{number}", "a", Assignment())
    assert UserThreshold.objects.get(uid=UID).shift == SHIFT_LIMIT
    assert learning.rules_of(UID).accept < 1.0
    assert learning.rules_of("somebody-else").accept == learning.Rules().accept


def test_a_confirmed_label_is_no_correction(david: Person, talk: Talk, wav: WriteWav) -> None:
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    assert learning.record_correction(UID, "m1", "SPEAKER_01", Assignment(is_user=True)) == 0.0


def test_confirming_a_suggestion_makes_it_laxer(enrolled: str) -> None:
    SpeakerDecision.objects.create(uid=UID, memory_id="m", voice="a", suggestion="user", reason="below_threshold")
    assert learning.record_correction(UID, "m", "a", Assignment(is_user=True)) < 0
    assert USER == ""
