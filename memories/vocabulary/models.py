"""Rows of healings: which word was put in the place of which in old transcripts, and in which memories."""

from __future__ import annotations

from django.db import models


class Healing(models.Model):
    """One healing of old transcripts: ``term`` in the place of ``heard``. ``cursor``: the memory that was looked at
    last, the newest come first; "" before the first. ``through``: all were looked at."""

    id = models.CharField(max_length=40, primary_key=True)
    uid = models.CharField(max_length=128)
    heard = models.CharField(max_length=60)
    term = models.CharField(max_length=60)
    left_out = models.JSONField(default=list, help_text="Memories that the user took out in the preview.")
    cursor = models.CharField(max_length=200, blank=True, default="")
    through = models.BooleanField(default=False)
    skipped = models.PositiveIntegerField(default=0, help_text="Memories that hold as many changes as may be.")
    created_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["uid", "created_at"], name="vocabulary_healing_user")]

    def __str__(self) -> str:
        return f"{self.uid} {self.id}"


class HealedMemory(models.Model):
    """A memory in which a healing changed words; the operation lies in the memory."""

    healing = models.ForeignKey(Healing, on_delete=models.CASCADE, related_name="memories")
    memory_id = models.CharField(max_length=128, db_index=True)
    undone = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["healing", "memory_id"], name="vocabulary_healed_once")]

    def __str__(self) -> str:
        return f"{self.healing_id} {self.memory_id}"
