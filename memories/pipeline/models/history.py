"""What happened: append-only attempts and events, and the large results of steps."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.db import models

from memories.pipeline.models.runs import PostProcessingRun, RunStep
from memories.pipeline.states import OUTCOMES


class AppendOnly(models.QuerySet[Any]):
    """Rows may be added, and deleted with the run they belong to (erasure); nobody edits history.

    Behind it stands a trigger that refuses every UPDATE (``triggers``).
    """

    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{self.model.__name__} rows are never changed")

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{self.model.__name__} rows are never changed")

    def delete(self) -> NoReturn:  # a run's own deletion does not come through here
        raise TypeError(f"{self.model.__name__} rows go with their run, and not before it")


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

    objects = AppendOnly.as_manager()

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["step", "id"], name="attempts_of_step")]

    def __str__(self) -> str:
        return f"attempt {self.number} of step {self.step_id}: {self.outcome}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("StepAttempt rows are never changed")
        super().save(*args, **kwargs)


class RunEvent(models.Model):
    """What happened to a run: created, reclaimed, suspended, resent, canceled, finished.

    ``data`` holds ids, counts and sentences of ours; never text of a transcript."""

    run = models.ForeignKey(PostProcessingRun, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField()
    type = models.CharField(max_length=32)
    actor = models.CharField(max_length=150, blank=True, default="")
    step = models.CharField(max_length=32, blank=True, default="")
    data = models.JSONField(default=dict, blank=True)

    objects = AppendOnly.as_manager()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.type} of run {self.run_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("RunEvent rows are never changed")
        super().save(*args, **kwargs)


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
