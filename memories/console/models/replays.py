"""Incident replays: runs of one or more groups of failures that are done anew, spread over time."""

from __future__ import annotations

from typing import Any

from django.db import models


class Replay(models.Model):
    """One replay. Its filters are written down as runs (``ReplayItem``) when it is made, and never looked at again.

    ``turn`` counts the turns that workers had with it: a message names the turn that it is for, and is void when that
    has begun. ``lease_until``: a worker is at it until then.
    """

    class State(models.TextChoices):
        RUNNING = "running"
        PAUSED = "paused"
        STOPPED = "stopped"
        DONE = "done"
        UNDOING = "undoing"
        UNDONE = "undone"

    name = models.CharField(max_length=100)
    reason = models.CharField(max_length=300)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    form_key = models.CharField(max_length=40, unique=True, help_text="of the form that made it: posting it twice")
    filters: Any = models.JSONField(default=dict)
    rate_per_minute = models.PositiveIntegerField()
    spend_cap = models.FloatField(help_text="US dollars; 0 for none")
    expected_cost = models.FloatField(default=0.0)
    total = models.PositiveIntegerField(default=0)
    users = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=16, choices=State.choices, default=State.RUNNING)
    paused_because = models.CharField(max_length=200, blank=True, default="")
    last_started_at = models.DateTimeField(null=True, blank=True)
    turn = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        ordering = ["-id"]
        indexes = [models.Index(fields=["state", "id"], name="replay_at_work")]

    def __str__(self) -> str:
        return f"replay {self.pk}: {self.name}"


class ReplayItem(models.Model):
    """One run that is done anew: a failed one, or the newest of a memory of which a part was made with something, which
    is made again from ``from_step`` on. It goes with the run: erasure and retention need not know of it."""

    class State(models.TextChoices):
        WAITING = "waiting"
        STARTED = "started"
        DONE = "done"
        SAME_FAILURE = "same_failure", "same failure"
        OTHER_FAILURE = "other_failure", "other failure"
        SKIPPED = "skipped"
        UNDONE = "undone"

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="items")
    run = models.ForeignKey("pipeline.PostProcessingRun", on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(
        max_length=16, blank=True, default="", db_default="", help_text="of the run that is started; of a retry empty"
    )
    from_step = models.CharField(max_length=32, blank=True, default="", db_default="")
    new_run = models.ForeignKey(
        "pipeline.PostProcessingRun", null=True, blank=True, on_delete=models.CASCADE, related_name="+"
    )
    state = models.CharField(max_length=16, choices=State.choices, default=State.WAITING)
    note = models.CharField(max_length=200, blank=True, default="")
    before_model = models.CharField(max_length=64, blank=True, default="")
    before_version = models.CharField(max_length=80, blank=True, default="")
    cost = models.FloatField(default=0.0)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["replay", "run"], name="replay_item_once")]
        indexes = [models.Index(fields=["replay", "state", "id"], name="replay_item_next")]

    def __str__(self) -> str:
        return f"run {self.run_id} of replay {self.replay_id}: {self.state}"


class ReplayLog(models.Model):
    """What happened to a replay: made, paused, resumed, stopped, undone, and by whom."""

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    text = models.CharField(max_length=300)

    class Meta:
        default_permissions = ()
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.actor}: {self.text}"
