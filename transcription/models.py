"""The rows of transcription: the circuit breakers of the vendors of live speech."""

from __future__ import annotations

from django.db import models


class LiveVendorBreaker(models.Model):
    """The circuit breaker of one vendor of live speech (``transcription.vendors.circuit_breaker``): ``retry_at`` in
    Unix seconds, ``wait`` in s. What the pipeline asks of the same vendor has a breaker of its own, ``VendorBreaker``:
    a recording waits minutes for a vendor, a conversation seconds."""

    vendor = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.FloatField(default=0.0)
    wait = models.FloatField(default=0.0)
    alarm = models.BooleanField(default=False)
    code = models.CharField(max_length=64, blank=True, default="")
    reason = models.CharField(max_length=300, blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "transcription_vendorbreaker"
        verbose_name = "live vendor"

    def __str__(self) -> str:
        return f"{self.vendor}: {'alarm' if self.alarm else self.failures}"
