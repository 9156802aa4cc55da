"""Rows of recordings that were captured offline: a batch, its files, and the conversations that it became."""

from __future__ import annotations

from typing import Any

from django.db import models


class SyncBatch(models.Model):
    """Files of one device that were announced together. ``until`` and ``claim`` say which worker is at it."""

    class State(models.TextChoices):
        """How far it is. ``receiving``: bytes are missing; ``expired``: no file came whole in time, or it was dropped;
        ``failed``: nobody could work on it."""

        RECEIVING = "receiving"
        QUEUED = "queued"
        DONE = "done"
        EXPIRED = "expired"
        FAILED = "failed"

    id = models.CharField(max_length=40, primary_key=True)
    uid = models.CharField(max_length=128)
    device_id = models.CharField(max_length=200, blank=True, default="")
    language = models.CharField(max_length=20)
    key = models.CharField(max_length=64, blank=True, default="", help_text="Digest of the Idempotency-Key.")
    request = models.CharField(max_length=64, help_text="Digest of what was announced.")
    state = models.CharField(max_length=16, choices=State.choices, default=State.RECEIVING)
    signed_in = models.FloatField(default=0.0, help_text="Unix seconds: what an erasure since then takes.")
    placed = models.BooleanField(default=False, help_text="Its conversations are decided.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    claim = models.CharField(max_length=32, blank=True, default="")
    tries = models.PositiveIntegerField(default=0, help_text="Workers that took it and did not come back.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["uid", "key"], name="offline_batch_key", condition=~models.Q(key=""))
        ]
        indexes = [
            models.Index(fields=["uid", "created_at"], name="offline_batch_user"),
            models.Index(fields=["state", "due_at"], name="offline_batch_due"),
        ]

    def __str__(self) -> str:
        return f"{self.uid} {self.id}"


class SyncFile(models.Model):
    """One file of a batch. ``offset``: bytes that are here, in ``pieces`` (names of audio objects, in order).
    ``regions``: where somebody speaks, in seconds of the file; None until it was looked at."""

    class State(models.TextChoices):
        """What became of it. ``heard``: all of it was received live, or came with another file."""

        WAITING = "waiting"
        WHOLE = "whole"
        PLACED = "placed"
        SILENT = "silent"
        HEARD = "heard"
        DUPLICATE = "duplicate"
        REFUSED = "refused"
        MISSING = "missing"

    batch = models.ForeignKey(SyncBatch, on_delete=models.CASCADE, related_name="files")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=200, blank=True, default="")
    captured_at = models.DateTimeField()
    codec = models.CharField(max_length=16)
    sample_rate = models.PositiveIntegerField(null=True, blank=True)
    size = models.BigIntegerField(help_text="Bytes.")
    sha256 = models.CharField(max_length=64, db_index=True)
    offset = models.BigIntegerField(default=0)
    pieces = models.JSONField(default=list)
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    problem = models.CharField(max_length=32, blank=True, default="")
    seconds = models.FloatField(null=True, blank=True)
    regions: Any = models.JSONField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="offline_file_number")]

    def __str__(self) -> str:
        return f"{self.batch_id} #{self.number} {self.state}"


class SyncConversation(models.Model):
    """A conversation that (a part of) a batch belongs to. ``parts``: ``{"file", "start", "end", "speech"}`` in seconds
    of the file. ``asked``: its memory was asked for."""

    batch = models.ForeignKey(SyncBatch, on_delete=models.CASCADE, related_name="conversations")
    number = models.PositiveIntegerField()
    processing_memory_id = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128, db_index=True)
    joined = models.BooleanField(default=False, help_text="The conversation was there before.")
    parts = models.JSONField(default=list)
    asked = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="offline_conversation_number")]

    def __str__(self) -> str:
        return f"{self.batch_id} #{self.number} {self.memory_id}"
