"""The rows of a run and its steps. Only ``transitions.change`` changes the state of a run."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q

from memories.pipeline.states import GOOD, OUTCOMES, Kind, State, StepState


def default_claims() -> int:
    """Return how often workers may claim a run at one step before the run is a dead letter (``OMI_RUN_MAX_CLAIMS``)."""
    return int(settings.OMI_RUN_MAX_CLAIMS)


class PostProcessingRun(models.Model):
    """One piece of work on one memory.

    ``fence`` grows with every claim and stands in the condition of every write; ``claims`` counts claims since the
    last progress, that of the worker who made it included, so that a run that kills its worker ends. ``blocked`` runs
    are queued behind the active one of the same memory. ``notified``: the memory document and the user's event log
    have been notified of the end. ``counted``: the run and its attempts stand in ``FigureTotal``.
    """

    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    kind = models.CharField(max_length=16, choices=Kind.choices)
    state = models.CharField(max_length=16, choices=State.choices, default=State.QUEUED)
    outcome = models.CharField(max_length=24, choices=OUTCOMES, blank=True, default="")
    message_id = models.CharField(max_length=64, blank=True, default="")
    detail = models.CharField(max_length=300, blank=True, default="")
    dead_letter = models.BooleanField(default=False)
    notified = models.BooleanField(default=False, db_column="announced")
    blocked = models.BooleanField(default=False, db_column="held")
    counted = models.BooleanField(default=False, db_default=False, editable=False)

    actor = models.CharField(max_length=150)
    reason = models.CharField(max_length=300, blank=True, default="")
    options = models.JSONField(default=dict, blank=True)
    plan = models.JSONField(default=list)
    from_step = models.CharField(max_length=32, blank=True, default="")
    follows = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="followed_by")
    request_hash = models.CharField(max_length=64, blank=True, default="")
    audio = models.CharField(max_length=255, blank=True, default="")
    audio_sha256 = models.CharField(max_length=64, blank=True, default="")  # known when nothing is left of the object

    current_step = models.CharField(max_length=32, blank=True, default="")
    step_started_at = models.DateTimeField(null=True, blank=True)
    claims = models.PositiveIntegerField(default=0)
    max_claims = models.PositiveIntegerField(default=default_claims)
    total_claims = models.PositiveIntegerField(default=0)
    fence = models.PositiveBigIntegerField(default=0)
    lease_owner = models.CharField(max_length=128, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, db_column="wake_at")
    task_sent_at = models.DateTimeField(null=True, blank=True, db_column="woken_at")
    cancel_requested = models.BooleanField(default=False)

    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["uid", "memory_id", "-id"], name="run_of_memory"),
            models.Index(fields=["state", "due_at"], name="run_due"),
            models.Index(fields=["kind", "outcome", "-id"], name="run_by_outcome"),
            models.Index(fields=["id"], name="run_not_counted", condition=Q(counted=False)),
            models.Index(fields=["id"], name="run_dead_letters", condition=Q(dead_letter=True)),
            models.Index(fields=["state", "created_at"], name="run_open_age", condition=Q(counted=False)),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=State.values), name="run_state_known"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="run_kind_known"),
            models.CheckConstraint(
                condition=(Q(state=State.FINISHED) & ~Q(outcome="") & Q(finished_at__isnull=False))
                | (~Q(state=State.FINISHED) & Q(outcome="") & Q(finished_at__isnull=True)),
                name="run_outcome_only_when_finished",
            ),
            models.CheckConstraint(
                condition=(Q(state=State.RUNNING) & ~Q(lease_owner="") & Q(lease_until__isnull=False))
                | (~Q(state=State.RUNNING) & Q(lease_owner="") & Q(lease_until__isnull=True)),
                name="run_lease_only_when_running",
            ),
            models.CheckConstraint(
                condition=(Q(state=State.WAITING) & Q(due_at__isnull=False))
                | (~Q(state=State.WAITING) & Q(due_at__isnull=True)),
                name="run_wake_time_only_when_waiting",
            ),
            models.CheckConstraint(
                condition=Q(blocked=False) | Q(state__in=[State.QUEUED, State.FINISHED]), name="run_held_is_not_at_work"
            ),
            models.CheckConstraint(
                condition=Q(dead_letter=False) | (Q(state=State.FINISHED) & ~Q(outcome__in=GOOD)),
                name="run_dead_letter_is_a_failure",
            ),
            models.UniqueConstraint(
                fields=["uid", "memory_id"],
                condition=~Q(state=State.FINISHED) & Q(blocked=False),
                name="run_one_active_per_memory",
            ),
            models.UniqueConstraint(
                fields=["uid", "memory_id", "kind"],
                condition=~Q(state=State.FINISHED) & Q(blocked=True),
                name="run_one_in_line_per_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"run {self.pk} ({self.kind}, {self.outcome or self.state})"

    @property
    def succeeded(self) -> bool:
        return self.outcome in GOOD


class RequestKey(models.Model):
    """An idempotency key that a user's request had: it stands for that request, and gives its run, also where the
    request joined a run that was there."""

    uid = models.CharField(max_length=128)
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    run = models.ForeignKey(PostProcessingRun, on_delete=models.CASCADE, related_name="keys")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "key"], name="request_key_once")]

    def __str__(self) -> str:
        return f"a key of run {self.run_id}"


class RunStep(models.Model):
    """One step of a run. ``input_hash`` is of everything the step read; ``output`` is small; large results are
    artifacts.

    ``checkpoint`` is what must be remembered while the step waits (a vendor's ticket, failures so far).
    ``deadline_at``: when the rest of the run no longer waits for an optional step.
    """

    run = models.ForeignKey(PostProcessingRun, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=32)
    position = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=16, choices=StepState.choices, default=StepState.PENDING)
    outcome = models.CharField(max_length=24, choices=OUTCOMES, blank=True, default="")
    note = models.CharField(max_length=300, blank=True, default="")
    input_hash = models.CharField(max_length=64, blank=True, default="")
    output: Any = models.JSONField(default=dict, blank=True)
    checkpoint: Any = models.JSONField(default=dict, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    reused_from = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    seconds = models.FloatField(default=0.0)

    class Meta:
        ordering = ["run", "position"]
        constraints = [
            models.UniqueConstraint(fields=["run", "name"], name="step_once_per_run"),
            models.CheckConstraint(condition=Q(state__in=StepState.values), name="step_state_known"),
            models.CheckConstraint(
                condition=Q(state__in=[StepState.PENDING, StepState.WAITING]) | ~Q(outcome=""),
                name="step_ended_has_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of run {self.run_id}"

    @property
    def ended(self) -> bool:
        """Whether the next step may begin. Where a failure ends the run, both are written in one transaction."""
        return self.state in (StepState.DONE, StepState.SKIPPED, StepState.FAILED)
