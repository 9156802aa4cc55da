"""Erasing voices: of a user, a person, or what was learned from one memory. Each can be repeated."""

from __future__ import annotations

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from omi.core import console_history
from omi.stores import audio
from speakers import gallery
from speakers.models import (
    USER,
    ProfileVersion,
    SpeakerDecision,
    UserThreshold,
    VoiceConsent,
    VoiceEmbedding,
    VoiceSample,
)
from speakers.reasons import Reason


def forget_user(uid: str) -> dict[str, int]:
    """Everything of this user's gallery: rows, embeddings, audio, decisions. Counts per kind, for the receipt."""
    gallery.wait_for_writers(uid)
    samples = VoiceSample.objects.filter(uid=uid)
    counts = {"voice_audio": _erase_audio(samples)}
    console_history.forget(samples)
    for name, rows in (
        ("voice_samples", samples),
        ("voice_profiles", ProfileVersion.objects.filter(uid=uid)),
        ("speaker_decisions", SpeakerDecision.objects.filter(uid=uid)),
        ("voice_thresholds", UserThreshold.objects.filter(uid=uid)),
        ("voice_consents", VoiceConsent.objects.filter(uid=uid)),
    ):
        counts[name] = rows.count()
        rows.delete()
    return counts


def forget_person(uid: str, person_id: str) -> None:
    """The voice of a person (``USER``: the user's own). Consent is marked withdrawn and stays as proof of both
    dates."""
    with transaction.atomic():
        gallery.lock(uid)  # who writes at this moment has written by now, or finds the person gone (speakers.fence)
        held = list(VoiceSample.objects.filter(uid=uid, person_id=person_id).values_list("pk", flat=True))
        samples = VoiceSample.objects.filter(pk__in=held)
        VoiceEmbedding.objects.filter(sample__in=held).delete()
        samples.update(status=VoiceSample.Status.REMOVED)  # the rows stay until their audio is erased
        ProfileVersion.objects.filter(uid=uid, person_id=person_id).delete()
        VoiceConsent.objects.filter(uid=uid, person_id=person_id, withdrawn_at=None).update(withdrawn_at=timezone.now())
        _forget_labels(uid, person_id)
    _erase_audio(samples)
    console_history.forget(samples)
    samples.delete()


def _forget_labels(uid: str, person_id: str) -> None:
    decisions = SpeakerDecision.objects.filter(uid=uid)
    name = gallery.candidate_id(person_id)
    decisions.filter(suggestion=name).update(suggestion="", suggestion_probability=0.0)
    if person_id != USER:
        decisions.filter(person_id=person_id).update(person_id="", manual=False, reason=Reason.WITHDRAWN)
        decisions.filter(best=name).update(best="")
        decisions.filter(runner_up=name).update(runner_up="")


def has_voice(uid: str, person_id: str) -> bool:
    """Whether anything is left of the voice of a person who was deleted."""
    return VoiceSample.objects.filter(uid=uid, person_id=person_id).exists()


def forget_memory(uid: str, memory_id: str) -> dict[str, int]:
    """What was learned from a memory and decided about it; profiles are made again from what is left."""
    gallery.wait_for_writers(uid)
    samples = VoiceSample.objects.filter(uid=uid, memory_id=memory_id).exclude(memory_id="")
    people = set(samples.values_list("person_id", flat=True))
    counts = {"voice_audio": _erase_audio(samples), "voice_samples": samples.count()}
    console_history.forget(samples)
    samples.delete()
    for person_id in people:
        gallery.rebuild_all_engines(uid, person_id, reason="memory erased")
        _drop_old_versions(uid, person_id)
    decisions = SpeakerDecision.objects.filter(uid=uid, memory_id=memory_id)
    counts["speaker_decisions"] = decisions.count()
    decisions.delete()
    return counts


def remaining(uid: str) -> dict[str, int]:
    """Rows of this user that are still there, by kind: all zero after ``forget_user``."""
    return {
        "voice_samples": VoiceSample.objects.filter(uid=uid).count(),
        "voice_profiles": ProfileVersion.objects.filter(uid=uid).count(),
        "speaker_decisions": SpeakerDecision.objects.filter(uid=uid).count(),
        "voice_thresholds": UserThreshold.objects.filter(uid=uid).count(),
        "voice_consents": VoiceConsent.objects.filter(uid=uid).count(),
    }


def _drop_old_versions(uid: str, person_id: str) -> None:
    """Older versions still hold a share of the erased voice."""
    ProfileVersion.objects.filter(uid=uid, person_id=person_id, active=False).delete()


def _erase_audio(samples: QuerySet[VoiceSample]) -> int:
    names = [name for name in samples.values_list("audio", flat=True) if name]
    for name in names:
        audio.delete(name)
    return len(names)
