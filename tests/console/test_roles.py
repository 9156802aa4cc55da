"""Pages of the admin below the console ask for its roles, too: the gallery of voices, and what users report."""

from __future__ import annotations

import io
import wave
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.urls import reverse
from django.utils import timezone

from memories.console import roles
from memories.console.models import AuditEntry
from memories.feedback.models import Part, Report
from omi.stores import audio
from speakers import people
from speakers.models import VoiceSample
from tests.console.conftest import ROLES, staff

UID = "alice"
SAID = "it wrote down what I told my doctor"


@pytest.fixture
def sample(db: None) -> VoiceSample:
    """The voice of Bob, kept as a recording of a second."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(32000))
    kept = audio.put(UID, "sample", out.getvalue(), keep_for=timedelta(days=1))
    return VoiceSample.objects.create(
        uid=UID, person_id=people.create_person(UID, "Bob").id, source="upload", status="candidate", audio=kept.name,
        seconds=1.0, voiced_seconds=1.0,
    )  # fmt: skip


@pytest.fixture
def report(db: None) -> Report:
    now = timezone.now()
    return Report.objects.create(
        id="report-1", uid=UID, key="k", part=Part.TRANSCRIPT, thumb=-1, text=SAID, created_at=now,
        expires_at=now + timedelta(days=90),
    )  # fmt: skip


def may(role: str, permission: str) -> bool:
    return role == "root" or permission in roles.GROUPS.get(role, ())


@pytest.mark.parametrize("role", ["", *ROLES, "root"])
def test_a_voice_is_named_heard_and_judged_by_those_whose_role_says_so(role: str, sample: VoiceSample) -> None:
    """No role had the permission that was asked for: only a superuser ever heard a voice."""
    client = staff(role)
    voice = {"uid": UID, "person": sample.person_id}
    gallery, sound = reverse("admin:speakers_gallery"), reverse("admin:speakers_sample_audio", args=[sample.pk])
    seen = client.get(gallery, voice)
    assert seen.status_code == (200 if may(role, roles.VIEW_MASKED) else 404)
    assert "Bob" not in seen.content.decode()
    assert client.get(sound).status_code == 404

    told = client.post(reverse("admin:speakers_voice_reveal"), {**voice, "reason": "ticket 8"})
    assert told.status_code == (302 if may(role, roles.REVEAL) else 403)
    if may(role, roles.VIEW_MASKED):
        assert ("Bob" in client.get(gallery, voice).content.decode()) is may(role, roles.REVEAL)
    assert client.get(sound).status_code == (200 if may(role, roles.PLAY_AUDIO) else 404)
    actions = list(AuditEntry.objects.order_by("id").values_list("action", "reason"))
    assert actions == ([("reveal_voice", "ticket 8"), ("play_voice", "")] if may(role, roles.REVEAL) else [])

    if may(role, roles.VIEW_MASKED):
        offered = 'value="accept"' in client.get(gallery, voice).content.decode()
        assert offered is may(role, roles.JUDGE_VOICES)
    judged = client.post(reverse("admin:speakers_judge", args=[sample.pk]), {"verdict": "remove"})
    assert judged.status_code == (302 if may(role, roles.JUDGE_VOICES) else 404)
    sample.refresh_from_db()
    assert (sample.status == "removed") is may(role, roles.JUDGE_VOICES)


def test_who_reads_names_and_hears_nothing_is_told_so(sample: VoiceSample) -> None:
    Group.objects.get(name="support").permissions.remove(Permission.objects.get(codename=roles.PLAY_AUDIO))
    client, voice = staff("support"), {"uid": UID, "person": sample.person_id}
    client.post(reverse("admin:speakers_voice_reveal"), {**voice, "reason": "ticket 8"})
    page = client.get(reverse("admin:speakers_gallery"), voice).content.decode()
    assert "Bob" in page
    assert "<audio" not in page
    assert "Your role reads names and does not hear recordings." in page
    assert client.get(reverse("admin:speakers_sample_audio", args=[sample.pk])).status_code == 404


@pytest.mark.parametrize("role", ["", *ROLES, "root"])
def test_a_report_is_read_and_closed_by_those_whose_role_says_so(role: str, report: Report) -> None:
    """Its words could be read by whoever might see the list, which was nobody of any role."""
    client = staff(role)
    look = reverse("admin:feedback_report_look", args=[report.pk])
    assert client.get(reverse("admin:feedback_report_changelist")).status_code == (
        200 if may(role, roles.VIEW_MASKED) else 403
    )
    seen = client.get(look)
    assert seen.status_code == (200 if may(role, roles.VIEW_MASKED) else 403)
    assert SAID not in seen.content.decode()
    assert ("Show the text" in seen.content.decode()) is may(role, roles.REVEAL)

    told = client.post(look, {"reveal": "1", "reason": "ticket 9"})
    assert told.status_code == (302 if may(role, roles.REVEAL) else 403)
    if may(role, roles.VIEW_MASKED):
        assert (SAID in client.get(look).content.decode()) is may(role, roles.REVEAL)
    actions = list(AuditEntry.objects.values_list("action", "reason", "uid"))
    assert actions == ([("reveal_feedback", "ticket 9", UID)] if may(role, roles.REVEAL) else [])

    closed = client.post(look, {"cause": "it is off"})
    assert closed.status_code == (302 if may(role, roles.CLOSE_REPORTS) else 403)
    report.refresh_from_db()
    assert (report.state, report.cause) == (("closed", "it is off") if may(role, roles.CLOSE_REPORTS) else ("open", ""))


def test_every_model_that_a_role_may_see_has_a_page() -> None:
    shown = {(model._meta.app_label, model._meta.model_name) for model in admin.site._registry}
    viewed = {(app, model) for app, models in roles.VIEWED.items() for model in models}
    assert viewed - shown <= {("memories", "webhook"), ("memories", "webhookdelivery")}


def test_groups_of_an_earlier_version_get_what_is_new_and_keep_what_was_taken_from_them(db: None) -> None:
    senior, support = Group.objects.get(name="senior"), Group.objects.get(name="support")
    for group in (senior, support):
        group.permissions.remove(*Permission.objects.filter(codename__in=("judge_voices", "close_reports", "cancel")))
    Group.objects.get(name="admin").delete()
    import_module("memories.console.migrations.0004_voices_and_reports").widen_groups(apps, None)

    def held(group: Group) -> set[str]:
        return set(group.permissions.values_list("codename", flat=True))

    assert {"judge_voices", "close_reports"} <= held(senior)
    assert "close_reports" in held(support)
    assert "judge_voices" not in held(support)
    assert "cancel" not in held(senior)
    assert not Group.objects.filter(name="admin").exists()
