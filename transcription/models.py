from __future__ import annotations

from django.db import models


class VendorBreaker(models.Model):
    """One vendor's circuit breaker. ``retry_at`` in Unix seconds, ``wait`` in s; see
    ``transcription.vendors.circuit_breaker``."""

    vendor = models.CharField(max_length=64, primary_key=True)
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.FloatField(default=0.0)
    wait = models.FloatField(default=0.0)
    alarm = models.BooleanField(default=False)
    code = models.CharField(max_length=64, blank=True, default="")
    reason = models.CharField(max_length=300, blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "live vendor"

    def __str__(self) -> str:
        return f"{self.vendor}: {'alarm' if self.alarm else self.failures}"
