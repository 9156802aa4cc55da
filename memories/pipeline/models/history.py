"""What happened: append-only attempts and events, and the large results of steps.

That an attempt or an event is never changed is a trigger's alone (``triggers``): it holds for every writer, so the
models say nothing of it. Deletion is free, for rows of the history go with their run (erasure, retention).
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from memories.pipeline.models.runs import PostProcessingRun, RunStep
from memories.pipeline.states import OUTCOMES


class StepAttempt(models.Model):
    """One execution of a step, written when it ended (or was found lost, with outcome ``timeout``)."""

    step = models.ForeignKey(RunStep, on_delete=models.CASCADE, related_name="history")
    number = models.PositiveIntegerField()
    fence = models.PositiveBigIntegerField()
    worker = models.CharField(max_length=128)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    seconds = models.FloatField()
    result = models.CharField(max_length=16)
    outcome = models.CharField(max_length=24, choices=OUTCOMES)
    vendor = models.CharField(max_length=64, blank=True, default="")
    error_kind = models.CharField(max_length=16, blank=True, default="")
    error_code = models.CharField(max_length=64, blank=True, default="")
    message_id = models.CharField(max_length=64, blank=True, default="")
    detail = models.CharField(max_length=300, blank=True, default="")

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["step", "id"], name="attempts_of_step")]

    def __str__(self) -> str:
        return f"attempt {self.number} of step {self.step_id}: {self.outcome}"


class RunEvent(models.Model):
    """What happened to a run: created, reclaimed, suspended, resent, canceled, finished.

    ``data`` holds ids, counts and sentences of ours; never text of a transcript."""

    run = models.ForeignKey(PostProcessingRun, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    type = models.CharField(max_length=32)
    actor = models.CharField(max_length=150, blank=True, default="")
    step = models.CharField(max_length=32, blank=True, default="")
    data = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.type} of run {self.run_id}"


class StepArtifact(models.Model):
    """A large result of a step (words, segments, a vector): zlib-compressed JSON, erased with the memory.

    A name that begins with ``PART`` is of a finished part of a request that takes several calls: it goes when the
    step's result is stored.
    """

    PART: ClassVar = "part:"

    step = models.ForeignKey(RunStep, on_delete=models.CASCADE, related_name="artifacts")
    name = models.CharField(max_length=32)
    sha256 = models.CharField(max_length=64)
    body = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["step", "name"], name="artifact_once_per_step")]

    def __str__(self) -> str:
        return f"{self.name} of step {self.step_id}"
