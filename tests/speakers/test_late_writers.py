"""A voice takes seconds to measure. What was erased meanwhile, of account, memory or person, does not come back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from memories.privacy import erasure
from omi.stores.models import AudioObject
from speakers import enrolment, learning, people
from speakers.models import USER, VoiceConsent, VoiceSample
from speakers.shapes import Person

from .conftest import UID, Talk, WriteWav
from .test_api import form

pytestmark = pytest.mark.django_db
Api = Callable[..., APIClient]
Meanwhile = Callable[[Callable[[], Any]], None]


@pytest.fixture
def meanwhile(remembered: None, monkeypatch: pytest.MonkeyPatch) -> Meanwhile:
    """Have something happen between the measurement of a voice and its storing."""

    def set_up(act: Callable[[], Any]) -> None:
        measured = enrolment.analyse

        def analyse(*args: Any) -> enrolment.Analysis:
            found = measured(*args)
            act()
            return found

        monkeypatch.setattr(enrolment, "analyse", analyse)
        monkeypatch.setattr(learning, "analyse", analyse)

    return set_up


def live_audio() -> int:
    return AudioObject.objects.filter(deleted_at=None).count()


def test_a_voice_that_was_measured_while_its_account_was_erased_is_not_kept(
    api: Api, talk: Talk, wav: WriteWav, meanwhile: Meanwhile
) -> None:
    client = api()
    meanwhile(lambda: erasure.erase_user(UID))
    assert client.post("/v3/upload-audio", form(wav(talk.enrol_user))).status_code == 401
    assert erasure.verify_user_erased(UID) == {}
    assert live_audio() == 0


def test_a_persons_voice_that_was_measured_while_the_account_was_erased_is_not_kept(
    api: Api, talk: Talk, wav: WriteWav, meanwhile: Meanwhile
) -> None:
    client = api()
    person = people.create_person(UID, "David")
    meanwhile(lambda: erasure.erase_user(UID))
    answer = client.post(f"/v1/users/people/{person.id}/samples", form(wav(talk.enrol_person)))
    assert answer.status_code in {401, 404}
    assert erasure.verify_user_erased(UID) == {}
    assert live_audio() == 0


def test_a_voice_that_was_measured_while_its_person_was_deleted_is_not_kept(
    api: Api, talk: Talk, wav: WriteWav, meanwhile: Meanwhile
) -> None:
    client = api()
    person = people.create_person(UID, "David")
    meanwhile(lambda: people.delete_person(UID, person.id))
    assert client.post(f"/v1/users/people/{person.id}/samples", form(wav(talk.enrol_person))).status_code == 404
    assert not VoiceSample.objects.exists()
    assert not VoiceConsent.objects.exists()
    assert live_audio() == 0


def _learn(talk: Talk, wav: WriteWav, person: Person | None, **more: Any) -> learning.Learned:
    turn = max((t for t in talk.turns if t["speaker"] == "David"), key=lambda t: t["end"] - t["start"])
    return learning.learn_from_segment(
        UID, person.id if person else None, wav(talk.pcm), turn["start"], turn["end"], 12,
        memory_id="m1", segment_id="s1", segment_index=1, confirmed=True, **more,
    )  # fmt: skip


def test_a_segment_teaches_nothing_of_a_person_who_was_deleted_meanwhile(
    db: None, talk: Talk, wav: WriteWav, meanwhile: Meanwhile
) -> None:
    person = people.create_person(UID, "David")
    meanwhile(lambda: people.delete_person(UID, person.id))
    with pytest.raises(people.PersonNotFound):
        _learn(talk, wav, person)
    assert not VoiceSample.objects.exists()
    assert live_audio() == 0


def test_a_segment_of_a_memory_that_was_erased_meanwhile_teaches_nothing(
    db: None, talk: Talk, wav: WriteWav, remembered: None
) -> None:
    class Gone(Exception):
        """As the room above says it."""

    def fence() -> None:
        raise Gone

    with pytest.raises(Gone):
        _learn(talk, wav, None, fence=fence)
    assert not VoiceSample.objects.filter(person_id=USER).exists()
    assert live_audio() == 0
