"""The stored decisions of a memory's voices: written by each run, read by ``explain``."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from omi.accounts.erased import Fence
from speakers import fence as deletions
from speakers.models import SpeakerDecision
from speakers.policy import VoiceDecision


def store(uid: str, memory_id: str, voices: Sequence[VoiceDecision], *, fence: Fence = lambda: None) -> None:
    """Replace what was known of this memory's voices, all or nothing; nothing where ``fence`` raises, which is called
    inside of the transaction. Nobody is named who was deleted meanwhile."""
    heard = {decision.voice for decision in voices}
    with transaction.atomic():
        fence()
        voices = deletions.without_the_gone(uid, voices)
        SpeakerDecision.objects.filter(uid=uid, memory_id=memory_id).exclude(voice__in=heard).delete()
        _replace([_row(uid, memory_id, decision) for decision in voices])


def store_one(uid: str, memory_id: str, decision: VoiceDecision) -> None:
    """Write the decision about one voice; it names nobody who was deleted meanwhile."""
    with transaction.atomic():
        [kept] = deletions.without_the_gone(uid, [decision])
        _replace([_row(uid, memory_id, kept)])


def _replace(decisions: Sequence[SpeakerDecision]) -> None:
    """Write these rows; one that is there of the same voice takes the new values."""
    key = ["uid", "memory_id", "voice"]
    others = [field.name for field in SpeakerDecision._meta.concrete_fields if not field.primary_key]
    SpeakerDecision.objects.bulk_create(
        decisions,
        update_conflicts=True,
        unique_fields=key,
        update_fields=[name for name in others if name not in key],
    )


def _row(uid: str, memory_id: str, decision: VoiceDecision) -> SpeakerDecision:
    return SpeakerDecision(
        uid=uid,
        memory_id=memory_id,
        voice=decision.voice,
        is_user=decision.is_user,
        person_id=decision.person_id or "",
        manual=decision.manual,
        reason=decision.reason.value,
        probability=decision.probability,
        score=decision.score,
        best=decision.best or "",
        runner_up=decision.runner_up or "",
        runner_up_score=decision.runner_up_score,
        margin=decision.margin,
        evidence_seconds=decision.evidence_seconds,
        suggestion=decision.suggestion or "",
        suggestion_probability=decision.suggestion_probability,
        turns=[[start, end] for start, end in decision.turns],
        facts={
            "provisional": decision.provisional,
            "bar": decision.bar,
            "coverage": decision.coverage,
            "enrolled_seconds": decision.enrolled_seconds,
            "rival": decision.rival,
            "rival_same": decision.rival_same,
            "foreign_seconds": decision.foreign_seconds,
            "at_once": decision.at_once,
        },
        engine=decision.engine,
        engine_version=decision.engine_version,
    )
