"""Erasures that are younger than a backup: restoring it must not bring the erased back.

A file of receipts holds digests and times only, no name and no uid, and may be copied off the machine far more often
than a backup. A digest is found again among the people and memories that a restore brought.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

from django.db.models import Max
from pydantic import BaseModel, ValidationError

from memories.backup.archive import BackupError
from memories.mirror import compare
from memories.models import ErasureReceipt, MemoryRow
from memories.privacy import erasure
from memories.repository.tombstones import memory_subject
from omi.accounts.models import ErasedAccount, uid_digest


class Erased(BaseModel):
    """A digest of a uid, or of a memory with its uid, and when it was erased last."""

    subject: str
    at: datetime


class Receipts(BaseModel):
    """Every erasure that an installation remembers."""

    kind: Literal["omi-erasures"] = "omi-erasures"
    users: list[Erased]
    memories: list[Erased]

    def since(self, moment: datetime) -> Receipts:
        """The erasures after a moment."""
        return Receipts(
            users=[one for one in self.users if one.at >= moment],
            memories=[one for one in self.memories if one.at >= moment],
        )


class Again(BaseModel):
    """What was erased again. ``open``: some store was out of reach, and a schedule goes on."""

    users: list[str]
    memories: int
    open: int


def remembered() -> Receipts:
    """The erasures that this installation remembers."""
    accounts = ErasedAccount.objects.order_by("erased_at").values_list("digest", "erased_at")
    memories = ErasureReceipt.objects.filter(kind="memory").values("subject").annotate(at=Max("started_at"))
    return Receipts(
        users=[Erased(subject=digest, at=at) for digest, at in accounts.iterator()],
        memories=[Erased(subject=row["subject"], at=row["at"]) for row in memories.order_by("subject").iterator()],
    )


def read(file: Path) -> Receipts:
    """Return the receipts that ``manage.py backup --receipts`` wrote. Raises BackupError."""
    try:
        return Receipts.model_validate_json(file.read_bytes())
    except OSError as error:
        raise BackupError(f"The receipts cannot be read: {error.strerror} ({file}).") from error
    except ValidationError as error:
        raise BackupError(f"{file} holds no receipts of `manage.py backup --receipts`.") from error


def erase_again(receipts: Receipts) -> Again:
    """Erase whoever and whatever is named in ``receipts`` and is here all the same."""
    gone = {one.subject for one in receipts.users}
    users = [uid for uid in compare.users() if uid_digest(uid) in gone] if gone else []
    done = [erasure.erase_user(uid) for uid in users]
    memories = [erasure.erase_memory(uid, memory_id, now=True) for uid, memory_id in _memories(receipts)]
    return Again(users=users, memories=len(memories), open=sum(not one.complete for one in [*done, *memories]))


def _memories(receipts: Receipts) -> Iterator[tuple[str, str]]:
    gone = {one.subject for one in receipts.memories}
    if not gone:
        return
    rows = MemoryRow.objects.order_by("pk").values_list("uid", "memory_id")
    yield from [(uid, name) for uid, name in rows.iterator() if memory_subject(uid, name) in gone]
