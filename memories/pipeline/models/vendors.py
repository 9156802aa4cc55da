"""The rows about vendors: one for each call, the totals that calls and runs add up to, and one breaker a vendor."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from memories.pipeline.models.runs import PostProcessingRun
from memories.pipeline.states import OUTCOMES


class VendorCall(models.Model):
    """One call, from before it is made until its answer has become the result of a step.

    ``owner`` (a ``worker_name``) and ``deadline`` say from which process, and until when, an answer may still come:
    the call is *pending*. ``answer`` is what came after the run was suspended (compressed JSON: the answer, or the
    error); it is taken away in the transaction that stores what follows from it. A row without owner, answer and
    outcome is of a call whose end nobody saw.

    ``request_key`` is a hash of memory, vendor, operation and what was sent. A call is a ``duplicate`` where one with
    the same key had succeeded, has no end, or was ``possibly_billed`` though nothing usable came of it. ``cost`` is an
    estimate in US dollars. ``counted``: the call stands in ``FigureTotal``.

    A call outside of a run (the embedding of a search) has ``uid`` instead, and is written after it.
    """

    POLL: ClassVar = "poll"
    """The operation that costs nothing: its row goes when it has been answered, and stays only where it failed."""

    END: ClassVar = (
        "latency", "reference", "audio_seconds", "cost", "input_tokens", "output_tokens", "outcome", "error_kind",
        "error_code", "possibly_billed", "owner", "answer",
    )  # fmt: skip
    """The fields that are written when a call ends."""

    run = models.ForeignKey(PostProcessingRun, null=True, on_delete=models.CASCADE, related_name="vendor_calls")
    uid = models.CharField(max_length=128, blank=True, default="", db_index=True)
    step = models.CharField(max_length=32)
    fence = models.PositiveBigIntegerField()
    vendor = models.CharField(max_length=64)
    operation = models.CharField(max_length=32)
    request_key = models.CharField(max_length=64)
    duplicate = models.BooleanField(default=False, db_column="doubled")
    started_at = models.DateTimeField()
    owner = models.CharField(max_length=128, blank=True, default="", db_default="")
    deadline = models.DateTimeField(null=True, blank=True)
    limit = models.FloatField(default=0.0, db_default=0.0)
    answer = models.BinaryField(null=True, blank=True)
    latency = models.FloatField(null=True, blank=True)
    outcome = models.CharField(max_length=24, choices=OUTCOMES, blank=True, default="")
    error_kind = models.CharField(max_length=16, blank=True, default="")
    error_code = models.CharField(max_length=64, blank=True, default="")
    possibly_billed = models.BooleanField(default=False, db_column="taken")
    reference = models.CharField(max_length=128, blank=True, default="")
    audio_seconds = models.FloatField(default=0.0)
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    cost = models.FloatField(default=0.0)
    counted = models.BooleanField(default=False, db_default=False, editable=False)

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["id"], name="call_not_counted", condition=models.Q(counted=False)),
            models.Index(fields=["request_key"], name="call_request_key"),
            models.Index(fields=["vendor", "started_at"], name="call_by_vendor"),
            models.Index(fields=["vendor", "reference"], name="call_by_reference"),
        ]

    def __str__(self) -> str:
        return f"{self.vendor} {self.operation}: {self.outcome or 'no answer seen'}"

    @property
    def paid(self) -> bool:
        """Whether the vendor is paid for such a call."""
        return self.operation != self.POLL

    @property
    def stored(self) -> bool:
        """Whether the call has a row: before its end only a call of an engine on this machine has none."""
        return not self._state.adding

    def store_end(self) -> None:
        """Write how the call ended. Call it inside the transaction that stores what follows from the answer.

        An UPDATE, never an upsert: the user may have been erased meanwhile, and nothing of them may come back.
        """
        if not self.stored:
            self.save(force_insert=True)
            return
        row = VendorCall.objects.filter(pk=self.pk)
        if not self.paid and not self.outcome and self.answer is None:
            row.delete()
        else:
            row.update(**{name: getattr(self, name) for name in self.END})


class FigureTotal(models.Model):
    """What rows that are ``counted``, and rows that are erased, added to a counter: numbers under steps, vendors and
    outcomes, nothing of a person (``metrics``)."""

    key = models.CharField(max_length=300, unique=True)
    value = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return f"{self.key}: {self.value}"


class MonthlyCallFigures(models.Model):
    """What the calls of one month (``month`` is its first day, UTC) came to, by vendor, operation and outcome
    (``unknown``: nobody saw the end). A call is added when it is added to ``FigureTotal``, to the month in which it was
    made, and stays here when its row goes. Calls that were counted before this table are in no month."""

    month = models.DateField()
    vendor = models.CharField(max_length=64)
    operation = models.CharField(max_length=32)
    outcome = models.CharField(max_length=24)
    calls = models.PositiveBigIntegerField(default=0)
    duplicates = models.PositiveBigIntegerField(default=0)
    audio_seconds = models.FloatField(default=0.0)
    cost = models.FloatField(default=0.0)

    class Meta:
        ordering = ["month", "vendor", "operation", "outcome"]
        constraints = [
            models.UniqueConstraint(fields=["month", "vendor", "operation", "outcome"], name="monthly_figures_once")
        ]

    def __str__(self) -> str:
        return f"{self.month:%Y-%m} {self.vendor} {self.operation} {self.outcome}: {self.calls}"


class VendorBreaker(models.Model):
    """A vendor that is not called until ``retry_at``. One probe passes then; its success closes the breaker."""

    vendor = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    open = models.BooleanField(default=False)
    reason = models.CharField(max_length=24, blank=True, default="")
    opened_at = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.vendor}: {'open' if self.open else 'closed'}"
