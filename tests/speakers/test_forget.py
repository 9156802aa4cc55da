"""Erasing voices, finding them in older memories, and the pages for support staff."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from omi.core import console_history
from omi.stores import audio
from omi.stores.models import AudioObject
from speakers import enrolment, forget, gallery, learning, people, policy
from speakers.explain import explain
from speakers.identify import identify
from speakers.models import USER, ProfileVersion, SpeakerDecision, VoiceEmbedding, VoiceSample
from speakers.shapes import Person
from speakers.signals import voice_found

from .conftest import UID, Talk, WriteWav

pytestmark = pytest.mark.django_db


def learn(talk: Talk, wav: WriteWav, person_id: str | None = None, name: str = "Anna") -> learning.Learned:
    turn = max((t for t in talk.turns if t["speaker"] == name), key=lambda t: t["end"] - t["start"])
    return learning.learn_from_segment(
        UID, person_id, wav(talk.pcm), turn["start"], turn["end"], 12,
        memory_id="m1", segment_id="s1", segment_index=1, confirmed=True,
    )  # fmt: skip


def live_audio() -> int:
    return AudioObject.objects.filter(deleted_at=None).count()


def test_forgetting_a_user_leaves_no_row_and_no_audio(david: Person, talk: Talk, wav: WriteWav) -> None:
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    learn(talk, wav)
    learning.record_correction(UID, "m1", "SPEAKER_00", learning.Assignment(is_user=True))
    receipt = forget.forget_user(UID)
    assert receipt["voice_samples"] == 3
    assert set(forget.remaining(UID).values()) == {0}
    assert not VoiceEmbedding.objects.exists()
    assert live_audio() == 0
    assert set(forget.forget_user(UID).values()) == {0}, "and it can be repeated"


@pytest.mark.parametrize("what", ["user", "person", "memory"])
def test_the_consoles_history_keeps_no_name_of_an_erased_voice_and_no_reason(
    what: str, david: Person, talk: Talk, wav: WriteWav
) -> None:
    """It kept whose voice was heard, and why in somebody's words, for good."""
    learn(talk, wav)
    staff = User.objects.create_superuser("eve", password="eve")
    chosen = {"user": "", "person": david.id, "memory": ""}[what]
    sample = VoiceSample.objects.get(person_id=chosen, source="segment" if what != "person" else "upload")
    client = Client()
    client.force_login(staff)
    client.post(reverse("admin:speakers_voice_reveal"), {"uid": UID, "person": chosen, "reason": "Ana Bell called"})
    client.post(reverse("admin:speakers_judge", args=[sample.pk]), {"verdict": "accept"})
    assert LogEntry.objects.filter(change_message__contains="Ana Bell").exists()
    assert console_history.of_user(UID).count() == 2
    if what == "user":
        forget.forget_user(UID)
    elif what == "person":
        people.delete_person(UID, david.id)
    else:
        VoiceSample.objects.filter(pk=LogEntry.objects.get(change_message__contains="Ana").object_id).update(
            memory_id="m1"
        )
        forget.forget_memory(UID, "m1")
    assert not console_history.of_user(UID).exists()
    assert sorted(LogEntry.objects.values_list("object_repr", "change_message")) == [
        ("erased", "Voice revealed."),
        ("erased", "accepted"),
    ]
    assert set(LogEntry.objects.values_list("user__username", flat=True)) == {"eve"}


def test_forgetting_a_user_leaves_other_users_alone(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    enrolment.enrol_user("other", wav(talk.enrol_person))
    forget.forget_user(UID)
    assert gallery.has_profile("other")
    assert live_audio() == 1


def test_forgetting_a_memory_takes_what_it_taught_out_of_the_profile(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    before = ProfileVersion.objects.get(active=True).array
    learn(talk, wav)
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    receipt = forget.forget_memory(UID, "m1")
    assert receipt["voice_samples"] == 1
    assert not SpeakerDecision.objects.exists()
    assert ProfileVersion.objects.count() == 1, "older versions still held the erased voice"
    assert np.allclose(ProfileVersion.objects.get().array, before, atol=1e-6)
    assert live_audio() == 1


def test_deleting_a_person_erases_the_voice_and_its_names(david: Person, talk: Talk, wav: WriteWav) -> None:
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    people.delete_person(UID, david.id)
    assert not VoiceSample.objects.filter(person_id=david.id).exists()
    assert not ProfileVersion.objects.filter(person_id=david.id).exists()
    told = explain(UID, "m1")
    assert david.id not in str(told)
    assert live_audio() == 1
    with pytest.raises(people.PersonNotFound):
        people.delete_person(UID, david.id)


def test_somebody_enrolled_later_is_found_in_older_memories(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    recording = wav(talk.pcm)
    identify(UID, recording, talk.segments(), memory_id="old")
    with recording.open("rb") as file:
        audio.put(UID, "recording", file, memory_id="old", keep_for=None)
    identify(UID, recording, talk.segments(), memory_id="not-kept")
    david = people.create_person(UID, "David")
    enrolment.add_sample(UID, david.id, wav(talk.enrol_person))
    heard: list[dict] = []

    def receiver(**given: object) -> None:
        heard.append(given)

    voice_found.connect(receiver)
    try:
        call_command("identify", UID, "--person", david.id, "--dry-run")
        assert heard == []
        call_command("identify", UID, "--person", david.id)
        call_command("identify", UID, "--person", david.id)
    finally:
        voice_found.disconnect(receiver)
    assert [(item["memory_id"], item["voice"], item["person_id"]) for item in heard] == [
        ("old", "SPEAKER_00", david.id)
    ]
    assert SpeakerDecision.objects.get(memory_id="old", voice="SPEAKER_00").person_id == david.id
    assert SpeakerDecision.objects.get(memory_id="old", voice="SPEAKER_02").person_id == ""
    assert SpeakerDecision.objects.get(memory_id="not-kept", voice="SPEAKER_00").person_id == ""


def test_a_manual_label_is_not_searched_again(enrolled: str, talk: Talk, wav: WriteWav) -> None:
    recording = wav(talk.pcm)
    identify(UID, recording, talk.segments(), memory_id="old", manual={"SPEAKER_00": {"is_user": False}})
    with recording.open("rb") as file:
        audio.put(UID, "recording", file, memory_id="old", keep_for=None)
    david = people.create_person(UID, "David")
    enrolment.add_sample(UID, david.id, wav(talk.enrol_person))
    call_command("identify", UID)
    assert SpeakerDecision.objects.get(voice="SPEAKER_00").person_id == ""


def keep(recording: Path, memory_id: str) -> None:
    with recording.open("rb") as file:
        audio.put(UID, "recording", file, memory_id=memory_id, keep_for=None)


def test_an_unknown_voice_must_beat_the_named_ones_of_its_memory_too(
    david: Person, talk: Talk, wav: WriteWav, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A voice that lost against another one of the room won when it was heard again without that one."""
    real = policy._alone

    def generous(voice: policy.VoiceScores, ids: list[str], rules: policy.Rules) -> policy.VoiceDecision:
        """Everybody but Anna is found to be David: Peter, too, who is less like him."""
        found = real(voice, ids, rules)
        return found if found.is_user else replace(found, person_id=david.id, best=david.id)

    monkeypatch.setattr(policy, "_alone", generous)
    recording = wav(talk.pcm)
    identify(UID, recording, talk.segments(), memory_id="old")
    keep(recording, "old")
    peter = SpeakerDecision.objects.get(voice="SPEAKER_02")
    assert (peter.person_id, peter.reason) == ("", "another_voice_fits_better")
    call_command("identify", UID)
    assert SpeakerDecision.objects.get(voice="SPEAKER_02").person_id == ""


def test_a_recording_that_cannot_be_heard_stops_no_other(
    enrolled: str, talk: Talk, wav: WriteWav, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = wav(talk.pcm)
    for memory_id in ("a-broken", "b-good"):
        identify(UID, recording, talk.segments(), memory_id=memory_id)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    keep(broken, "a-broken")
    keep(recording, "b-good")
    person = people.create_person(UID, "David")
    enrolment.add_sample(UID, person.id, wav(talk.enrol_person))
    call_command("identify", UID)
    assert SpeakerDecision.objects.get(memory_id="b-good", voice="SPEAKER_00").person_id == person.id
    assert "2 unreadable" in capsys.readouterr().out


def test_a_voice_that_was_named_a_deleted_person_may_be_searched_again(
    david: Person, talk: Talk, wav: WriteWav
) -> None:
    identify(
        UID, wav(talk.pcm), talk.segments(), memory_id="m1",
        manual={"SPEAKER_00": {"is_user": False, "person_id": david.id}},
    )  # fmt: skip
    people.delete_person(UID, david.id)
    row = SpeakerDecision.objects.get(voice="SPEAKER_00")
    assert (row.person_id, row.manual, row.reason) == ("", False, "withdrawn")


def test_the_identify_command_refuses_a_person_of_another_user(david: Person) -> None:
    with pytest.raises(CommandError):
        call_command("identify", "stranger", "--person", david.id)


def test_reembed_makes_what_is_missing_and_says_what_cannot_be(
    david: Person, capsys: pytest.CaptureFixture[str]
) -> None:
    audio.delete(VoiceSample.objects.get(person_id=USER).audio)
    VoiceEmbedding.objects.all().delete()
    call_command("reembed")
    assert "1 embedded, 1 left (their audio is gone or broken)" in capsys.readouterr().out
    call_command("reembed")
    assert "0 embedded, 1 left" in capsys.readouterr().out


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    def make(*permissions: str) -> Client:
        user = User.objects.create_user("support", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client = Client()
        client.force_login(user)
        return client

    return make


def gallery_page(client: Client, person_id: str = "") -> str:
    response = client.get(reverse("admin:speakers_gallery"), {"uid": UID, "person": person_id})
    assert response.status_code == 200
    return response.content.decode()


def reveal(client: Client, person_id: str = "", reason: str = "a complaint") -> None:
    form = {"uid": UID, "person": person_id, "reason": reason}
    assert client.post(reverse("admin:speakers_voice_reveal"), form).status_code == 302


def test_the_gallery_shows_audio_likeness_and_consent(
    staff: Callable[..., Client], enrolled: str, talk: Talk, wav: WriteWav
) -> None:
    learn(talk, wav)
    client = staff("view_voicesample", "reveal", "play_audio", "judge_voices")
    assert "<audio" not in gallery_page(client)
    reveal(client)
    page = gallery_page(client)
    assert page.count("<audio controls") == 2
    assert page.count('class="cell alike"') == 4
    assert enrolment.CONSENT_VERSION in page
    assert "memory m1" in page


def test_a_sample_is_played_to_those_who_may(staff: Callable[..., Client], enrolled: str) -> None:
    url = reverse("admin:speakers_sample_audio", args=[VoiceSample.objects.get().id])
    assert Client().get(url).status_code == 302
    client = staff("view_voicesample", "reveal", "play_audio", "judge_voices")
    reveal(client)
    response = client.get(url)
    assert b"".join(response)[:4] == b"RIFF"


def test_a_voice_is_heard_and_a_name_is_read_for_a_reason_only(staff: Callable[..., Client], david: Person) -> None:
    """A plain GET played it to everybody who might look."""
    sample = VoiceSample.objects.get(person_id=david.id)
    url = reverse("admin:speakers_sample_audio", args=[sample.id])
    client = staff("view_voicesample", "reveal", "play_audio", "judge_voices")
    assert client.get(url).status_code == 404
    assert "David" not in gallery_page(client, david.id)
    reveal(client, david.id, reason=" ")
    assert client.get(url).status_code == 404
    reveal(client, david.id, reason="she asked why")
    assert "David" in gallery_page(client, david.id)
    assert client.get(url).status_code == 200
    told = [entry.change_message for entry in LogEntry.objects.filter(object_id=str(sample.pk))]
    assert "Voice revealed. Reason: she asked why" in told
    assert "listened" in told
    own = VoiceSample.objects.get(person_id=USER)
    assert client.get(reverse("admin:speakers_sample_audio", args=[own.id])).status_code == 404  # another voice


def test_who_may_only_look_hears_nothing(staff: Callable[..., Client], david: Person) -> None:
    client = staff("view_voicesample")
    assert "David" not in gallery_page(client, david.id)
    answer = client.post(reverse("admin:speakers_voice_reveal"), {"uid": UID, "person": david.id, "reason": "curious"})
    assert answer.status_code == 403
    sample = VoiceSample.objects.get(person_id=david.id)
    assert client.get(reverse("admin:speakers_sample_audio", args=[sample.id])).status_code == 404


def test_without_the_permission_there_is_no_page_and_no_audio(staff: Callable[..., Client], enrolled: str) -> None:
    client = staff()
    sample = VoiceSample.objects.get()
    assert client.get(reverse("admin:speakers_gallery"), {"uid": UID}).status_code == 404
    assert client.get(reverse("admin:speakers_sample_audio", args=[sample.id])).status_code == 404
    assert client.post(reverse("admin:speakers_judge", args=[sample.id]), {"verdict": "remove"}).status_code == 404
    sample.refresh_from_db()
    assert sample.status == VoiceSample.Status.ACCEPTED


def test_staff_accepts_a_candidate_and_removes_a_sample(
    staff: Callable[..., Client], david: Person, talk: Talk, wav: WriteWav
) -> None:
    turn = max((t for t in talk.turns if t["speaker"] == "Anna"), key=lambda t: t["end"] - t["start"])
    learned = learning.learn_from_segment(
        UID, david.id, wav(talk.pcm), turn["start"], turn["end"], 12, memory_id="m1", segment_id="s1"
    )
    assert learned.sample is not None
    assert learned.code == "candidate"
    client = staff("view_voicesample", "reveal", "play_audio", "judge_voices")
    assert "Accept" in gallery_page(client, david.id)
    judge = reverse("admin:speakers_judge", args=[learned.sample.id])
    assert client.get(judge).status_code == 405
    assert client.post(judge, {"verdict": "accept"}).status_code == 302
    assert len(ProfileVersion.objects.get(person_id=david.id, active=True).sample_ids) == 2
    assert client.post(judge, {"verdict": "remove"}).status_code == 302
    assert len(ProfileVersion.objects.get(person_id=david.id, active=True).sample_ids) == 1
    assert "Removed" in gallery_page(client, david.id)
    assert client.post(judge, {"verdict": "accept"}).status_code == 404


def test_of_two_who_decide_at_once_the_removal_stands(david: Person) -> None:
    """Who accepts a sample that was removed since they looked at it gets a profile of no audio."""
    seen = VoiceSample.objects.get(person_id=david.id)
    gallery.remove_sample(VoiceSample.objects.get(pk=seen.pk), reason="a colleague")
    with pytest.raises(gallery.SampleGone):
        gallery.accept_sample(seen)
    gallery.remove_sample(seen, reason="too late")
    kept = VoiceSample.objects.get(pk=seen.pk)
    assert (kept.status, kept.removed_reason) == (VoiceSample.Status.REMOVED, "a colleague")
    forget.forget_person(UID, david.id)
    gallery.remove_sample(kept, reason="forgotten in the meantime")
    assert not ProfileVersion.objects.filter(person_id=david.id).exists()


@pytest.mark.parametrize("model", ["voicesample", "speakerdecision", "voiceconsent"])
def test_the_lists_open(admin_client: Client, david: Person, talk: Talk, wav: WriteWav, model: str) -> None:
    identify(UID, wav(talk.pcm), talk.segments(), memory_id="m1")
    assert admin_client.get(reverse(f"admin:speakers_{model}_changelist")).status_code == 200
