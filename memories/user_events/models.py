"""Rows of the event log: what happened to a user's memories, numbered per user from 1 without a gap."""

from __future__ import annotations

from django.db import models


class EventCounter(models.Model):
    """The last number given to this user. Updating the row is the lock under which an event is appended."""

    uid = models.CharField(max_length=128, primary_key=True)
    last = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.uid}: {self.last}"


class UserEvent(models.Model):
    """One event. ``payload`` holds ids and small facts, never a transcript: the memory is read when it is served."""

    uid = models.CharField(max_length=128)
    number = models.PositiveBigIntegerField()
    type = models.CharField(max_length=64)
    memory_id = models.CharField(max_length=128, blank=True, default="")
    payload = models.JSONField(default=dict)
    dedupe_key = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001  (NULL is not unique to NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["uid", "number"], name="memories_event_number"),
            models.UniqueConstraint(fields=["uid", "dedupe_key"], name="memories_event_once"),
        ]
        indexes = [
            models.Index(fields=["uid", "memory_id"], name="memories_event_memory"),
            models.Index(fields=["created_at"], name="memories_event_age"),
        ]

    def __str__(self) -> str:
        return f"{self.uid} #{self.number} {self.type}"


class VendorCallback(models.Model):
    """A vendor's callback that was believed: the same one again does nothing (vendors repeat them for hours)."""

    vendor = models.CharField(max_length=64)
    callback_id = models.CharField(max_length=200)
    received_at = models.DateTimeField(auto_now_add=True)
    runs = models.PositiveIntegerField(default=0, help_text="runs that it woke")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["vendor", "callback_id"], name="memories_callback_once")]
        indexes = [models.Index(fields=["received_at"], name="memories_callback_age")]

    def __str__(self) -> str:
        return f"{self.vendor} {self.callback_id}"
