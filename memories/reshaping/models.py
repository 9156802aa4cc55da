"""Rows of merging and splitting: ids, states and times, no words. What was said stays in the documents."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Reshaping(models.Model):
    """A merge or a split: memories that take the place of others. ``key``: a digest of what was asked for, so that
    asking twice makes one.

    ``making``: the originals are shown, and what takes their place is prepared. ``done``: it is shown, the originals
    are hidden. ``undoing``, ``undone``: the other way round. ``failed``: nothing was changed.
    """

    class Kind(models.TextChoices):
        MERGE = "merge"
        SPLIT = "split"

    class State(models.TextChoices):
        MAKING = "making"
        DONE = "done"
        FAILED = "failed"
        UNDOING = "undoing"
        UNDONE = "undone"

    id = models.CharField(max_length=40, primary_key=True)
    uid = models.CharField(max_length=128)
    kind = models.CharField(max_length=8, choices=Kind)
    key = models.CharField(max_length=64)
    state = models.CharField(max_length=8, choices=State, default=State.MAKING)
    segment_id = models.CharField(max_length=200, blank=True, default="", help_text="a split: first of the second part")
    recording = models.CharField(max_length=24, blank=True, default="", help_text="kept, or why there is none")
    code = models.CharField(max_length=40, blank=True, default="", help_text="why it failed, or waits")
    finished = models.BooleanField(default=False, help_text="what follows the change was done, too")
    tries = models.PositiveIntegerField(default=0)
    next_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    done_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["uid", "key"], condition=~Q(state__in=["failed", "undone"]), name="reshaping_asked_once"
            ),
        ]
        indexes = [
            models.Index(fields=["next_at"], name="reshaping_due", condition=Q(finished=False)),
            models.Index(fields=["uid", "-created_at"], name="reshaping_newest"),
            models.Index(fields=["done_at"], name="reshaping_done"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} of {self.uid}"


class ReshapedMemory(models.Model):
    """A memory of a reshaping: one of the originals, or (``made``) what takes their place."""

    reshaping = models.ForeignKey(Reshaping, on_delete=models.CASCADE, related_name="memories")
    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    made = models.BooleanField()
    position = models.PositiveSmallIntegerField()

    class Meta:
        ordering = ["made", "position"]
        constraints = [
            models.UniqueConstraint(fields=["reshaping", "memory_id"], name="reshaping_memory_once"),
        ]
        indexes = [models.Index(fields=["uid", "memory_id"], name="reshaping_memory")]

    def __str__(self) -> str:
        return f"{self.memory_id} of {self.reshaping_id}"
