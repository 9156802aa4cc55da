"""The log of what staff did: each reveal, playback, export and action, who, when and why. It is only added to.

The database refuses every change of an entry (``triggers``), with one exception: when a user or a memory is erased,
the entries that name them lose target, reason and details, and keep who did what and when.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from memories.console.models import AuditEntry

ERASED = "erased"


@dataclass(frozen=True, slots=True)
class Target:
    """What an action was done to. ``uid`` and ``memory_id`` say whose it is, so that erasure finds it."""

    kind: str
    key: str
    uid: str = ""
    memory_id: str = ""


def memory(uid: str, memory_id: str) -> Target:
    """Return a memory as the target of an entry."""
    return Target("memory", f"{uid}/{memory_id}", uid, memory_id)


def run(row: Any) -> Target:
    """Return a run of the pipeline (a PostProcessingRun) as the target of an entry."""
    return Target("run", str(row.pk), row.uid, row.memory_id)


def batch(row: Any) -> Target:
    """Return a batch of offline recordings (a SyncBatch) as the target of an entry."""
    return Target("batch", row.pk, row.uid)


def user(uid: str) -> Target:
    """Return a user as the target of an entry."""
    return Target("user", uid, uid)


def thing(kind: str, key: object) -> Target:
    """What belongs to no user: a vendor, a group of failures, a replay."""
    return Target(kind, str(key))


def actor_of(request: HttpRequest) -> str:
    """Return who acts, as the log names them: ``staff:`` and the account's name."""
    return f"staff:{request.user.get_username()}"


def record(
    actor: str, action: str, target: Target, reason: str = "", details: dict[str, Any] | None = None
) -> AuditEntry:
    """Add an entry. ``action`` is a verb of the console ("reveal", "play_audio", "retry"); ``details`` holds ids and
    numbers, never words of a user. Call it in the transaction that does what it tells of."""
    return AuditEntry.objects.create(
        at=timezone.now(), actor=actor[:150], action=action[:40], target_kind=target.kind[:32], target=target.key[:300],
        uid=target.uid[:128], memory_id=target.memory_id[:128], reason=reason[:300], details=details or {},
    )  # fmt: skip


def forget_memory(uid: str, memory_id: str) -> int:
    """Blank what entries tell of an erased memory. Returns how many."""
    return _blank(uid=uid, memory_id=memory_id)


def forget_user(uid: str) -> int:
    """Blank what entries tell of an erased user. Returns how many."""
    return _blank(uid=uid)


def remaining(uid: str) -> int:
    """How many entries still name the user."""
    return AuditEntry.objects.filter(uid=uid).count()


def _blank(**of: str) -> int:
    blank = {"uid": "", "memory_id": "", "target": ERASED, "reason": "", "details": {}}
    return AuditEntry.objects.filter(**of).blank(blank)
