"""Rows of secret addresses. They hold a digest of the secret: whoever reads the database can open none."""

from __future__ import annotations

from django.db import models


class SharedLink(models.Model):
    """A link to one memory. ``fields``: what it shows, from an allow-list; ``audio``: whether the owner's own voice is
    heard. ``views``: how often it was opened."""

    id = models.CharField(max_length=40, primary_key=True)
    digest = models.CharField(max_length=64, unique=True)
    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    fields = models.JSONField(default=list)
    audio = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    views = models.PositiveBigIntegerField(default=0)
    viewed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["uid", "memory_id"], name="links_memory"),
            models.Index(fields=["expires_at"], name="links_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.id} to {self.uid}/{self.memory_id}"


class TaskFeed(models.Model):
    """The calendar feed of a user's action items; there is one at most."""

    uid = models.CharField(max_length=128, primary_key=True)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"feed of {self.uid}"
