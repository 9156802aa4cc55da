"""Assignments, and what is learned from them."""

from __future__ import annotations

import numpy as np
import pytest

from omi.core.providers import one
from omi.stores.models import AudioObject
from speakers import enrolment, gallery, learning
from speakers.identify import identify
from speakers.learning import Assignment
from speakers.models import SpeakerDecision, VoiceSample
from speakers.policy import ENROLMENT
from speakers.reasons import Reason
from speakers.shapes import Person

from .conftest import UID, Talk, WriteWav, noise


def learn(person_id: str | None, talk: Talk, wav: WriteWav, name: str = "Anna", **more: object) -> learning.Learned:
    turn = max((t for t in talk.turns if t["speaker"] == name), key=lambda t: t["end"] - t["start"])
    arguments = {"words": len(turn["text"].split()), "memory_id": "m1", "segment_id": "s1", "segment_index": 1, **more}
    words = arguments.pop("words")
    return learning.learn_from_segment(UID, person_id, wav(talk.pcm), turn["start"], turn["end"], words, **arguments)


def test_the_voice_of_the_segment_is_learned_and_no_other(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    """A fault of the original: samples were cut with times that did not match the trimmed recording."""
    learned = learn(None, talk, wav)
    assert learned.code == "learned"
    assert learned.sample is not None
    own = learned.sample.embeddings.get().array
    profile = gallery.candidates(UID, one("voices")).profiles[0, 0]
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
    """The other way round: a recording that begins later than the segments' time."""
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


def test_two_workers_with_one_assignment_learn_once(
    enrolled: str, talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins before the first has stored its sample."""
    real = learning.analyse

    def slow(*given: object) -> object:
        monkeypatch.setattr(learning, "analyse", real)
        learn(None, talk, wav)
        return real(*given)

    monkeypatch.setattr(learning, "analyse", slow)
    second = learn(None, talk, wav)
    kept = VoiceSample.objects.get(memory_id="m1")
    assert second.sample == kept
    stray = AudioObject.objects.filter(memory_id="m1").exclude(name=kept.audio).get()
    assert stray.delete_after is not None, "what was stored in vain must be swept"


def test_a_candidate_that_is_assigned_again_still_waits(david: Person, talk: Talk, wav: WriteWav) -> None:
    assert learn(david.id, talk, wav).code == "candidate"
    assert learn(david.id, talk, wav).code == "candidate"
    assert VoiceSample.objects.get(memory_id="m1").status == VoiceSample.Status.CANDIDATE


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


def test_a_short_first_sample_suggests_and_a_second_one_names(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    from speakers import people

    peter = people.create_person(UID, "Peter")
    learned = learn(peter.id, talk, wav, "Peter")
    assert learned.code == "learned"
    assert learned.sample is not None
    assert learned.sample.voiced_seconds < ENROLMENT
    (voice,) = (v for v in identify(UID, wav(talk.pcm), talk.segments()).voices if v.voice == "SPEAKER_02")
    assert (voice.reason, voice.suggestion, voice.decided) == (Reason.SHORT_ENROLMENT, peter.id, False)
    enrolment.add_sample(UID, peter.id, wav(talk.of("Peter")))
    result = identify(UID, wav(talk.pcm), talk.segments())
    assert {s.person_id for s in result.segments if s.speaker == "SPEAKER_02"} == {peter.id}


def test_a_correction_is_remembered_beside_the_figures_and_moves_no_threshold_by_itself(
    david: Person, talk: Talk, wav: WriteWav
) -> None:
    """It moved one at once: without a record, a look at cases held out, an off switch, or a way back."""
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    decided = SpeakerDecision.objects.get(voice="SPEAKER_01")
    learning.record_correction(UID, "m1", "SPEAKER_01", Assignment(person_id=david.id))
    row = SpeakerDecision.objects.get(voice="SPEAKER_01")
    assert (row.manual, row.person_id, row.best, row.probability) == (
        True, david.id, decided.best, decided.probability
    )  # fmt: skip
    assert learning.rules_of(UID, one("voices")).accept == learning.Rules().accept
