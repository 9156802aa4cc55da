"""The words of a user's memories, to be searched in SQL. Derived data: made again from the documents at any time."""

from __future__ import annotations

from django.db import models


class SearchText(models.Model):
    """Title, overview and transcript of a memory at ``revision``."""

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    revision = models.BigIntegerField()
    text = models.TextField()
    created_at = models.DateTimeField(help_text="of the memory")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id"], name="memories_search_once")]
        indexes = [models.Index(fields=["uid", "-created_at"], name="memories_search_newest")]

    def __str__(self) -> str:
        return f"words of {self.memory_id}@{self.revision}"
