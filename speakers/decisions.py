"""The stored decisions of a memory's voices: written by each run, read by ``explain``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db import transaction

from omi.core import rows
from speakers import fence as deletions
from speakers.models import SpeakerDecision
from speakers.policy import VoiceDecision


def store(
    uid: str, memory_id: str, voices: Sequence[VoiceDecision], *, fence: Callable[[], None] = lambda: None
) -> None:
    """Replace what was known of this memory's voices, all or nothing; nothing where ``fence`` raises, which is called
    inside of the transaction. Nobody is named who was deleted meanwhile."""
    heard = {decision.voice for decision in voices}
    with transaction.atomic():
        fence()
        voices = deletions.without_the_gone(uid, voices)
        known = rows.select(SpeakerDecision, ("id", "voice"), {"uid": uid, "memory_id": memory_id})
        if gone := [row for row, voice in known if voice not in heard]:
            SpeakerDecision.objects.filter(pk__in=gone).delete()
        rows.insert([_row(uid, memory_id, decision) for decision in voices], unique=("uid", "memory_id", "voice"))


def store_one(uid: str, memory_id: str, decision: VoiceDecision) -> None:
    """Write the decision about one voice; it names nobody who was deleted meanwhile."""
    with transaction.atomic():
        [kept] = deletions.without_the_gone(uid, [decision])
        rows.insert([_row(uid, memory_id, kept)], unique=("uid", "memory_id", "voice"))


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
        },
        engine=decision.engine,
        engine_version=decision.engine_version,
    )
