"""The ledger of vendor calls, and the breaker of each vendor."""

from __future__ import annotations

from django.db import models

from memories.pipeline.models.runs import PostProcessingRun
from memories.pipeline.states import OUTCOMES


class VendorCall(models.Model):
    """One call. Written before the call with no outcome, so that a crash in between leaves a trace.

    A call outside of a run (the embedding of a search, of a mended vector) has ``uid`` instead, and is written after.

    ``request_key`` is a hash of memory, vendor, operation and what was sent: a second call with the same key that
    follows a success, a call whose end nobody saw, or one that was ``taken`` (the vendor may have done it, though
    nothing usable came of it) is ``doubled``. ``cost`` in US dollars, an estimate.
    ``counted``: the call stands in ``FigureTotal``.
    """

    run = models.ForeignKey(PostProcessingRun, null=True, on_delete=models.CASCADE, related_name="vendor_calls")
    uid = models.CharField(max_length=128, blank=True, default="", db_index=True)
    step = models.CharField(max_length=32)
    fence = models.PositiveBigIntegerField()
    vendor = models.CharField(max_length=64)
    operation = models.CharField(max_length=32)
    request_key = models.CharField(max_length=64)
    doubled = models.BooleanField(default=False)
    started_at = models.DateTimeField()
    latency = models.FloatField(null=True, blank=True)
    outcome = models.CharField(max_length=24, choices=OUTCOMES, blank=True, default="")
    error_kind = models.CharField(max_length=16, blank=True, default="")
    error_code = models.CharField(max_length=64, blank=True, default="")
    taken = models.BooleanField(default=False)
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


class FigureTotal(models.Model):
    """What rows that are ``counted``, and rows that are erased, added to a counter: numbers under steps, vendors and
    outcomes, nothing of a person (``metrics``)."""

    key = models.CharField(max_length=300, unique=True)
    value = models.FloatField(default=0.0)

    def __str__(self) -> str:
        return f"{self.key}: {self.value}"


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
