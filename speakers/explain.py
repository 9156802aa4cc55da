"""Why each voice of a memory has the label it has: ``GET /v1/memories/{id}/speakers``."""

from __future__ import annotations

from typing import Any

from speakers import people
from speakers.models import SpeakerDecision
from speakers.policy import CANDIDATE_USER
from speakers.reasons import Reason, sentence
from transcription.segments import speaker_number


def explain(uid: str, memory_id: str) -> dict[str, Any]:
    """Return ``{"voices": [...], "suggestions": [...]}`` for a memory of this user; both empty where nothing was
    decided.

    Each voice: label, ``is_user``, ``person_id``, name, probability and cosine of the best candidate, the runner-up,
    the margin, seconds of evidence, the stretches that were heard, engine, reason and a sentence. The caller has
    checked that the memory is the user's; a person deleted since then has no name.
    """
    known = people.names(uid)
    rows = sorted(
        SpeakerDecision.objects.filter(uid=uid, memory_id=memory_id),
        key=lambda row: (speaker_number(row.voice), row.voice),
    )
    voices = [_voice(row, known) for row in rows]
    suggestions = [
        {
            "speaker": voice["speaker"],
            "speaker_id": voice["speaker_id"],
            **voice["suggestion"],
        }
        for voice in voices
        if voice["suggestion"] is not None
    ]
    return {"memory_id": memory_id, "voices": voices, "suggestions": suggestions}


def near_misses(uid: str, limit: int = 50) -> list[dict[str, Any]]:
    """Voices of this user's memories that nobody was named for although somebody was near, newest first: as in
    ``explain``, with ``memory_id``. They say why a voice that was taught never matches."""
    known = people.names(uid)
    rows = SpeakerDecision.objects.filter(uid=uid, is_user=False, person_id="", manual=False).exclude(best="")
    shown = [{**_voice(row, known), "memory_id": row.memory_id} for row in rows.order_by("-created_at")[:limit]]
    return [voice for voice in shown if voice["best"] is not None]


def _voice(row: SpeakerDecision, known: dict[str, str]) -> dict[str, Any]:
    person = row.person_id if row.person_id in known else None
    return {
        "speaker": row.voice,
        "speaker_id": speaker_number(row.voice),
        "is_user": row.is_user,
        "person_id": person,
        "name": "You" if row.is_user else known.get(row.person_id),
        "manual": row.manual,
        "reason": row.reason,
        "sentence": sentence(
            Reason(row.reason),
            probability=row.probability,
            evidence_seconds=row.evidence_seconds,
            best=_name(row.best, known),
            runner_up=_name(row.runner_up, known),
            facts=row.facts,
        ),
        "provisional": bool(row.facts.get("provisional")),
        "probability": row.probability,
        "score": row.score,
        "best": _who(row.best, known),
        "runner_up": _who(row.runner_up, known),
        "runner_up_score": row.runner_up_score,
        "margin": row.margin,
        "evidence_seconds": row.evidence_seconds,
        "turns": row.turns,
        "engine": row.engine,
        "engine_version": row.engine_version,
        "suggestion": (
            {
                **suggested,
                "probability": row.suggestion_probability,
                "sentence": f"Speaker {speaker_number(row.voice)} is probably {suggested['name']}.",
            }
            if (suggested := _who(row.suggestion, known)) is not None
            else None
        ),
        "decided_at": row.created_at,
    }


def _name(candidate: str, known: dict[str, str]) -> str | None:
    who = _who(candidate, known)
    return str(who["name"]) if who is not None else None


def _who(candidate: str, known: dict[str, str]) -> dict[str, Any] | None:
    if candidate == CANDIDATE_USER:
        return {"is_user": True, "person_id": None, "name": "you"}
    if candidate in known:
        return {"is_user": False, "person_id": candidate, "name": known[candidate]}
    return None
