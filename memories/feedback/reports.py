"""What a user does with feedback: give it, look at it, take it back. Everything takes the uid."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from memories.feedback.models import LabelledCase, Part, Report
from memories.mirror.models import MemoryRow
from memories.registry import records as registry
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.accounts.erased import Fence, require_alive
from omi.core import console_history
from omi.core.pruning import delete_in_pieces

MOST_PER_DAY = 200
"""Pieces of feedback that one user may give on one day."""
MOST_KEPT = 2000
"""Reports, and cases, of one user; the oldest go."""


class ReportNotFound(Exception):
    """The user has given no such feedback."""


class TooMuchFeedback(Exception):
    """The user has given as much as may be on one day."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the user says. ``thumb``: 1, -1, or 0 for none."""

    part: str
    memory_id: str = ""
    segment_id: str = ""
    thumb: int = 0
    reasons: Sequence[str] = field(default_factory=list)
    text: str = ""
    audio_consent: bool = False


def give(uid: str, given: Given, *, fence: Fence) -> Report:
    """Keep what a user says; a second time for the same part of the same memory replaces the first.

    Raises MemoryNotFound for a memory that is not the user's, TooMuchFeedback and what ``fence`` raises.
    """
    language = ""
    if given.memory_id:
        repository.require(uid, given.memory_id)
        known = MemoryRow.objects.filter(uid=uid, memory_id=given.memory_id)
        language = known.values_list("language", flat=True).first() or ""
    now = timezone.now()
    key = hashlib.sha256(f"{given.memory_id}\n{given.part}\n{given.segment_id}".encode()).hexdigest()
    fields: dict[str, Any] = {
        "memory_id": given.memory_id, "segment_id": given.segment_id, "part": given.part, "thumb": given.thumb,
        "reasons": sorted(set(given.reasons)), "text": given.text, "audio_consent": given.audio_consent,
        "made_with": registry.of_memory(uid, given.memory_id) if given.memory_id else {},
        "language": language,
        "state": Report.State.OPEN, "created_at": now,
        "expires_at": now + timedelta(days=settings.OMI_CASE_KEEP_DAYS),
    }  # fmt: skip
    with transaction.atomic():
        fence()
        if given.memory_id:
            _require_there(uid, given.memory_id)  # it may have been deleted since the look above
        if Report.objects.filter(uid=uid, created_at__gt=now - timedelta(days=1)).count() >= MOST_PER_DAY:
            raise TooMuchFeedback
        made, _ = Report.objects.update_or_create(
            uid=uid, key=key, defaults=fields, create_defaults={**fields, "id": f"fb_{secrets.token_hex(12)}"}
        )
        _bounded(Report, uid)
    return made


def of_user(uid: str, *, before: str | None, limit: int) -> list[Report]:
    """What the user has said, newest first; ``before``: the id that ended the page before. Raises ReportNotFound."""
    rows = Report.objects.filter(uid=uid).order_by("-created_at", "-id")
    if before is not None:
        last = get(uid, before)
        rows = rows.filter(created_at__lte=last.created_at).exclude(created_at=last.created_at, id__gte=last.id)
    return list(rows[:limit])


def get(uid: str, report_id: str) -> Report:
    """Return the user's report of this id; raises ReportNotFound."""
    found = Report.objects.filter(uid=uid, id=report_id).first()
    if found is None:
        raise ReportNotFound
    return found


def withdraw(uid: str, report_id: str) -> None:
    """Take feedback back. Raises ReportNotFound."""
    if not Report.objects.filter(uid=uid, id=report_id).delete()[0]:
        raise ReportNotFound


def close(report: Report, *, cause: str) -> None:
    """Support has looked at it, and says what it was."""
    Report.objects.filter(pk=report.pk).update(state=Report.State.CLOSED, cause=cause[:80])


def prune() -> int:
    """Delete what is older than ``OMI_CASE_KEEP_DAYS`` allowed when it came; how many rows."""
    now = timezone.now()
    return sum(delete_in_pieces(rows.objects.filter(expires_at__lt=now)) for rows in (Report, LabelledCase))


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase what was said of a memory."""
    console_history.forget(Report.objects.filter(uid=uid, memory_id=memory_id))
    return sum(int(rows.objects.filter(uid=uid, memory_id=memory_id).delete()[0]) for rows in (Report, LabelledCase))


def forget_user(uid: str) -> int:
    """Erase all feedback of a user."""
    console_history.forget(Report.objects.filter(uid=uid))
    return sum(int(rows.objects.filter(uid=uid).delete()[0]) for rows in (Report, LabelledCase))


def remaining(uid: str) -> int:
    """Return how many rows of a user feedback still holds."""
    return sum(rows.objects.filter(uid=uid).count() for rows in (Report, LabelledCase))


def exported(uid: str) -> dict[str, Any]:
    """Everything for the user's export."""
    told = ("id", "memory_id", "segment_id", "part", "thumb", "reasons", "text", "audio_consent", "created_at")
    case = ("memory_id", "segment_id", "part", "machine", "person", "made_with", "shared", "created_at", "expires_at")
    return {
        "reports": list(Report.objects.filter(uid=uid).order_by("created_at").values(*told)),
        "cases": list(LabelledCase.objects.filter(uid=uid).order_by("created_at").values(*case)),
    }


def keep_case(
    uid: str, memory: Memory, part: Part | str, *, machine: dict[str, Any], person: dict[str, Any],
    segment_id: str = "", cause: str = "", context: dict[str, Any] | None = None, shared: bool,
) -> LabelledCase:  # fmt: skip
    """Store a labelled case; a later correction of the same thing replaces what the person set, and what the machine
    had said stays. Raises MemoryNotFound where the memory is gone."""
    now = timezone.now()
    with transaction.atomic():
        require_alive(uid, now - timedelta(seconds=30))
        _require_there(uid, memory.id)
        found, new = LabelledCase.objects.get_or_create(
            uid=uid, memory_id=memory.id, part=part, segment_id=segment_id, cause=cause,
            defaults={
                "id": f"case_{secrets.token_hex(12)}", "machine": machine, "person": person, "context": context or {},
                "made_with": registry.of_memory(uid, memory.id), "language": memory.language or "", "shared": shared,
                "created_at": now, "expires_at": now + timedelta(days=settings.OMI_CASE_KEEP_DAYS),
            },
        )  # fmt: skip
        if not new:
            found.person, found.shared = person, shared
            found.save(update_fields=["person", "shared"])
        _bounded(LabelledCase, uid)
    return found


def _require_there(uid: str, memory_id: str) -> None:
    """Within the transaction that writes, so without reading the transcript. Raises MemoryNotFound."""
    found = repository.glance(uid, memory_id)
    if found is None or found.deleted:
        raise repository.MemoryNotFound("Memory not found")


def _bounded(rows: type[Report] | type[LabelledCase], uid: str) -> None:
    beyond = list(rows.objects.filter(uid=uid).order_by("-created_at").values_list("pk", flat=True)[MOST_KEPT:])
    if beyond:
        rows.objects.filter(pk__in=beyond).delete()
