"""Which action items each memory has: the words stay in the memory's document."""

from __future__ import annotations

from django.db import models


class ActionItemRow(models.Model):
    """One action item of one memory. ``words``: a keyed digest of what it says; two of the same digest say the same.

    ``said_at``: when the memory was created.
    """

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    item_id = models.CharField(max_length=64)
    words = models.BigIntegerField()
    completed = models.BooleanField(default=False)
    due_at = models.DateTimeField(null=True, blank=True)
    said_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id", "item_id"], name="action_items_once")]
        indexes = [models.Index(fields=["uid", "completed", "-said_at"], name="action_items_newest")]

    def __str__(self) -> str:
        return f"{self.item_id} of {self.uid}/{self.memory_id}"
