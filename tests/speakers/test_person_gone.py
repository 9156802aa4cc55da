"""A person is deleted in the very moment in which somebody writes of them: nothing of them is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from omi.core.providers import one
from omi.stores import audio
from speakers import decisions, enrolment, gallery, learning, people
from speakers.explain import explain
from speakers.identify import identify
from speakers.models import ProfileVersion, SpeakerDecision, VoiceConsent, VoiceEmbedding, VoiceSample
from speakers.policy import VoiceDecision
from speakers.reasons import Reason
from speakers.retroactive import find
from speakers.shapes import Person
from speakers.signals import voice_found

from .conftest import UID, Talk, WriteWav
from .test_forget import keep

pytestmark = pytest.mark.django_db


def left_of(person: Person) -> dict[str, int]:
    named = SpeakerDecision.objects.filter(uid=UID)
    return {
        "samples": VoiceSample.objects.filter(uid=UID, person_id=person.id).count(),
        "embeddings": VoiceEmbedding.objects.filter(sample__person_id=person.id).count(),
        "profiles": ProfileVersion.objects.filter(uid=UID, person_id=person.id).count(),
        "consents": VoiceConsent.objects.filter(uid=UID, person_id=person.id, withdrawn_at=None).count(),
        **{
            name: named.filter(**{name: person.id}).count() for name in ("person_id", "best", "runner_up", "suggestion")
        },
    }


def nothing(person: Person) -> bool:
    return not any(left_of(person).values())


def deleting_first(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, person: Person) -> None:
    """Whoever calls ``module.name`` finds the person deleted when it answers."""
    real = getattr(module, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        monkeypatch.setattr(module, name, real)
        people.delete_person(UID, person.id)
        return result

    monkeypatch.setattr(module, name, call)


def test_a_sample_uploaded_while_the_person_is_deleted_is_not_kept(
    david: Person, talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    deleting_first(monkeypatch, audio, "put", david)
    with pytest.raises(people.PersonNotFound):
        enrolment.add_sample(UID, david.id, wav(talk.enrol_person))
    assert nothing(david), left_of(david)


def test_a_segment_learned_while_the_person_is_deleted_is_not_kept(
    david: Person, talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = max((t for t in talk.turns if t["speaker"] == "David"), key=lambda t: t["end"] - t["start"])
    deleting_first(monkeypatch, audio, "put", david)
    with pytest.raises(people.PersonNotFound):
        learning.learn_from_segment(
            UID, david.id, wav(talk.pcm), turn["start"], turn["end"], 12, memory_id="m1", segment_id="s1"
        )
    assert nothing(david), left_of(david)


def test_a_sample_embedded_anew_while_the_person_is_deleted_makes_no_profile(
    david: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    VoiceEmbedding.objects.filter(sample__person_id=david.id).delete()
    deleting_first(monkeypatch, gallery, "embed_copies", david)
    assert gallery.heal(UID, one("voices")) == 0
    assert nothing(david), left_of(david)


def deciding(person: Person) -> list[VoiceDecision]:
    return [
        VoiceDecision("SPEAKER_00", person_id=person.id, best=person.id, runner_up="user", reason=Reason.ACCEPTED),
        VoiceDecision("SPEAKER_01", best="user", runner_up=person.id, is_user=True, reason=Reason.ACCEPTED),
        VoiceDecision("SPEAKER_02", best=person.id, suggestion=person.id, suggestion_probability=0.7),
    ]


def together(person: Person) -> None:
    decisions.store(UID, "m1", deciding(person))


def one_by_one(person: Person) -> None:
    for decision in deciding(person):
        decisions.store_one(UID, "m1", decision)


@pytest.mark.parametrize("write", [together, one_by_one])
def test_a_run_that_had_decided_names_nobody_who_was_deleted(david: Person, write: Callable[[Person], None]) -> None:
    write(david)
    assert left_of(david)["person_id"] == 1
    SpeakerDecision.objects.all().delete()
    people.delete_person(UID, david.id)
    write(david)
    assert nothing(david), left_of(david)
    voices = {voice["speaker"]: voice for voice in explain(UID, "m1")["voices"]}
    assert voices["SPEAKER_00"]["reason"] == Reason.WITHDRAWN
    assert voices["SPEAKER_01"]["is_user"], "what was said of others stays"


def test_a_person_deleted_while_a_recording_is_heard_is_named_by_no_decision(
    david: Person, talk: Talk, wav: WriteWav
) -> None:
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1", fence=lambda: people.delete_person(UID, david.id))
    assert SpeakerDecision.objects.filter(memory_id="m1").count() == 3
    assert nothing(david), left_of(david)


def test_a_voice_found_in_an_older_memory_is_not_named_after_who_was_deleted_meanwhile(
    enrolled: str, talk: Talk, wav: WriteWav
) -> None:
    recording = wav(talk.pcm)
    identify(UID, recording, talk.segments(), memory_id="old")
    keep(recording, "old")
    david = people.create_person(UID, "David")
    enrolment.add_sample(UID, david.id, wav(talk.enrol_person))

    def receiver(**_: Any) -> None:
        people.delete_person(UID, david.id)

    voice_found.connect(receiver)
    try:
        list(find(UID, david.id))
    finally:
        voice_found.disconnect(receiver)
    assert nothing(david), left_of(david)


def test_a_late_correction_does_not_name_who_was_deleted(david: Person, talk: Talk, wav: WriteWav) -> None:
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    people.delete_person(UID, david.id)
    learning.record_correction(UID, "m1", "SPEAKER_02", learning.Assignment(person_id=david.id))
    assert nothing(david), left_of(david)
