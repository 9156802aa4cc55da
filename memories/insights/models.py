"""Rows of the insights: numbers only, no words."""

from __future__ import annotations

from django.db import models


class SpokenFigures(models.Model):
    """One voice in one memory: the user's own (``voice`` empty) or that of a person whom they named.

    ``distinct``: different words among the first thousand. ``emotions``: seconds in which each led.
    """

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    voice = models.CharField(max_length=128, blank=True, default="")
    created_at = models.DateTimeField(help_text="of the memory")
    category = models.CharField(max_length=32)
    seconds = models.FloatField()
    words = models.PositiveIntegerField()
    distinct = models.PositiveIntegerField()
    turns = models.PositiveIntegerField()
    interruptions = models.PositiveIntegerField()
    questions = models.PositiveIntegerField()
    emotions = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "memory_id", "voice"], name="insights_voice_once")]
        indexes = [
            models.Index(fields=["uid", "created_at"], name="insights_newest"),
            models.Index(fields=["uid", "voice"], name="insights_voice"),
        ]

    def __str__(self) -> str:
        return f"{self.voice or 'user'} in {self.uid}/{self.memory_id}"
