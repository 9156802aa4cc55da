"""Failures of runs, grouped: a row for each kind of failure, its counts by the hour, and the runs that belong to it."""

from __future__ import annotations

from django.db import models


class FailureGroup(models.Model):
    """All failures of one kind: the same step, vendor and failure id (the *fingerprint*).

    Counts are kept when a run fails, never added up when somebody looks. ``ignored_until``, ``ignored_count`` and
    ``ignored_users`` are where being ignored ends: a time, or totals of ``count`` and ``users``.
    """

    class Status(models.TextChoices):
        """What staff decided. What a page shows besides (new, regressed, escalating) follows from the counts."""

        OPEN = "open"
        IGNORED = "ignored"
        RESOLVED = "resolved"

    step = models.CharField(max_length=32, blank=True, default="")
    vendor = models.CharField(max_length=64, blank=True, default="")
    message_id = models.CharField(max_length=64)
    count = models.PositiveBigIntegerField(default=0)
    users = models.PositiveBigIntegerField(default=0)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.OPEN)
    regressed_at = models.DateTimeField(null=True, blank=True)
    resolved_at = models.DateTimeField(null=True, blank=True)
    ignored_until = models.DateTimeField(null=True, blank=True)
    ignored_count = models.PositiveBigIntegerField(null=True, blank=True)
    ignored_users = models.PositiveBigIntegerField(null=True, blank=True)
    owner = models.CharField(max_length=150, blank=True, default="")
    note = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["step", "vendor", "message_id"], name="failure_group_once")]
        indexes = [models.Index(fields=["status", "-last_seen"], name="failure_group_newest")]

    def __str__(self) -> str:
        return f"{self.message_id} in {self.step or 'no step'}{f' ({self.vendor})' if self.vendor else ''}"


class FailureHour(models.Model):
    """How many runs of a group failed in the hour that begins at ``hour`` (UTC)."""

    group = models.ForeignKey(FailureGroup, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["group", "hour"], name="failure_hour_once")]

    def __str__(self) -> str:
        return f"{self.count} of group {self.group_id} at {self.hour}"


class FailedRun(models.Model):
    """A run that failed, under its group. It goes with the run: retention and erasure need not know of it."""

    run = models.OneToOneField(
        "pipeline.PostProcessingRun", on_delete=models.CASCADE, primary_key=True, related_name="failure"
    )
    group = models.ForeignKey(FailureGroup, on_delete=models.CASCADE, related_name="runs")
    uid = models.CharField(max_length=128)
    at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["group", "at"], name="failed_run_by_time"),
            models.Index(fields=["group", "uid"], name="failed_run_of_user"),
        ]

    def __str__(self) -> str:
        return f"run {self.run_id} of group {self.group_id}"


class FigureSnapshot(models.Model):
    """The totals of all counters (``FigureTotal``) when a day (UTC) began: what came since is their difference."""

    day = models.DateField(primary_key=True)
    at = models.DateTimeField()
    totals = models.JSONField(default=dict)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"totals of {self.day}"
