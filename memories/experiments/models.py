"""Rows of experiments: what is tried, on whom it took effect, what came of it, and what was decided."""

from __future__ import annotations

from django.db import models


class Experiment(models.Model):
    """An experiment with one tunable. ``variants`` maps a variant's name to the tunable's value, ``control`` is the one
    that is compared with.

    ``mode`` assign: each user has one variant, by hash. Shadow: every memory gets the control, and the other variants'
    results on the same audio are kept aside. ``stopped``: variants that a guardrail ended, with the reason.
    """

    class State(models.TextChoices):
        """Where an experiment stands; only a running one has an effect."""

        DRAFT = "draft"
        RUNNING = "running"
        STOPPED = "stopped"
        PROMOTED = "promoted"
        ROLLED_BACK = "rolled_back"

    class Mode(models.TextChoices):
        """How a variant reaches users."""

        ASSIGN = "assign"
        SHADOW = "shadow"

    name = models.SlugField(max_length=60, unique=True)
    hypothesis = models.TextField(max_length=1000)
    tunable = models.CharField(max_length=40)
    variants = models.JSONField(default=dict)
    control = models.CharField(max_length=40)
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.ASSIGN)
    share = models.FloatField(default=1.0, help_text="of the users, or in shadow mode of the memories, that take part")
    metric = models.CharField(max_length=24)
    guardrails = models.JSONField(default=list, blank=True)
    planned = models.PositiveIntegerField(help_text="users per variant, or rated pairs per variant in shadow mode")
    alpha = models.FloatField(default=0.05)
    per_user = models.PositiveIntegerField(default=3, help_text="memories of a user that make one observation")
    daily_cost = models.FloatField(default=1.0, help_text="US dollars that shadow calls may cost on a day")
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    stopped = models.JSONField(default=dict)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.name} ({self.state})"


class Exposure(models.Model):
    """The record that a variant took effect on a user for the first time."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="exposures")
    uid = models.CharField(max_length=128)
    variant = models.CharField(max_length=40)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["experiment", "uid"], name="experiments_exposed_once")]
        indexes = [models.Index(fields=["uid"], name="experiments_exposure_uid")]

    def __str__(self) -> str:
        return f"{self.uid} saw {self.variant}"


class Observation(models.Model):
    """What came of one memory under one variant. The row pins the variant: no memory is made of two. ``values`` maps a
    metric to 0..1."""

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="observations")
    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    variant = models.CharField(max_length=40)
    values = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["experiment", "uid", "memory_id"], name="experiments_memory_once")
        ]
        indexes = [models.Index(fields=["uid", "memory_id"], name="experiments_memory")]

    def __str__(self) -> str:
        return f"{self.memory_id} under {self.variant}"


class ShadowResult(models.Model):
    """What a variant makes of a memory's audio, aside: never shown to the user. ``body`` is compressed JSON of the
    result and of the control's; ``values`` as of an observation. ``ticket``: of a vendor that answers later."""

    class State(models.TextChoices):
        """Whether the result of the shadow vendor is there."""

        WAITING = "waiting"
        DONE = "done"
        FAILED = "failed"

    experiment = models.ForeignKey(Experiment, on_delete=models.CASCADE, related_name="shadows")
    uid = models.CharField(max_length=128)
    memory_id = models.CharField(max_length=128)
    variant = models.CharField(max_length=40)
    state = models.CharField(max_length=8, choices=State, default=State.WAITING)
    ticket = models.JSONField(default=dict)
    audio = models.CharField(max_length=255, blank=True, default="")
    body = models.BinaryField(null=True, blank=True)
    values = models.JSONField(default=dict)
    cost = models.FloatField(default=0.0)
    seconds = models.FloatField(default=0.0)
    error = models.CharField(max_length=120, blank=True, default="")
    at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["experiment", "uid", "memory_id", "variant"], name="experiments_shadow_once"
            )
        ]
        indexes = [
            models.Index(fields=["experiment", "state"], name="experiments_shadow_state"),
            models.Index(fields=["uid", "memory_id"], name="experiments_shadow_memory"),
            models.Index(fields=["at"], name="experiments_shadow_age"),
        ]

    def __str__(self) -> str:
        return f"{self.variant} of {self.memory_id}"


class Rating(models.Model):
    """A person's blind choice between the control's result and a variant's; the order was hidden. ``value``: 1 the
    variant, 0 the control, 0.5 as good (or bad) as each other."""

    result = models.ForeignKey(ShadowResult, on_delete=models.CASCADE, related_name="ratings")
    rater = models.CharField(max_length=150)
    value = models.FloatField()
    both_bad = models.BooleanField(default=False)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["result", "rater"], name="experiments_rated_once")]

    def __str__(self) -> str:
        return f"{self.rater}: {self.value}"


class TunedValue(models.Model):
    """A value that is in force instead of a setting: for everybody (``uid`` empty) or one user. The newest applied row
    of a name counts; taken back, the one before does. ``origin``: ``experiment:NAME`` or ``learner:NAME``."""

    class State(models.TextChoices):
        """Whether the value is in force."""

        APPLIED = "applied"
        ROLLED_BACK = "rolled_back"

    name = models.CharField(max_length=40)
    uid = models.CharField(max_length=128, blank=True, default="")
    value = models.JSONField()
    origin = models.CharField(max_length=80)
    why = models.CharField(max_length=500, blank=True, default="")
    evidence = models.JSONField(default=dict)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    state = models.CharField(max_length=12, choices=State, default=State.APPLIED)
    actor = models.CharField(max_length=150)
    at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["state", "uid", "name", "-id"], name="experiments_value_in_force"),
            models.Index(fields=["origin"], name="experiments_value_origin"),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.uid or 'everybody'}: {self.state}"


class DecisionRecord(models.Model):
    """What was decided about an experiment or a learned value, by whom, why, and on which figures. No user in it."""

    experiment = models.ForeignKey(Experiment, null=True, on_delete=models.SET_NULL, related_name="decisions")
    subject = models.CharField(max_length=80)
    action = models.CharField(max_length=24)
    variant = models.CharField(max_length=40, blank=True, default="")
    actor = models.CharField(max_length=150)
    reason = models.CharField(max_length=500, blank=True, default="")
    figures = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.subject}: {self.action} {self.variant}".rstrip()
