"""What staff did, as rows that are only added to."""

from __future__ import annotations

from typing import Any, NoReturn

from django.db import models


class OnlyAdded(models.QuerySet[Any]):
    """Entries are added and read. Behind it stands a trigger (``memories.console.triggers``)."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("entries of the audit log are never changed")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("entries of the audit log are never changed")

    def delete(self) -> NoReturn:
        raise TypeError("entries of the audit log are never deleted")

    def blank(self, values: dict[str, Any]) -> int:
        """Blank entries, for erasure: the only change that the database lets pass is to exactly these ``values``."""
        return super().update(**values)


class AuditEntry(models.Model):
    """One thing that a staff member did. ``uid`` and ``memory_id`` name whose it was, until that is erased."""

    at = models.DateTimeField(db_index=True)
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=40)
    target_kind = models.CharField(max_length=32)
    target = models.CharField(max_length=300)
    uid = models.CharField(max_length=128, blank=True, default="")
    memory_id = models.CharField(max_length=128, blank=True, default="")
    reason = models.CharField(max_length=300, blank=True, default="")
    details = models.JSONField(default=dict, blank=True)

    objects = OnlyAdded.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "audit entries"
        default_permissions = ()
        indexes = [
            models.Index(fields=["uid", "memory_id", "-id"], name="audit_of_memory"),
            models.Index(fields=["actor", "-id"], name="audit_of_actor"),
            models.Index(fields=["target_kind", "target"], name="audit_of_target"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.target_kind} {self.target}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("entries of the audit log are never changed")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("entries of the audit log are never deleted")
