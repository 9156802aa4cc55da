"""The rows behind the shared counters."""

from __future__ import annotations

from django.db import models


class SharedTotal(models.Model):
    """One series of a shared metric. ``name`` is the metric's, ``labels`` a JSON list of the values of its labels."""

    name = models.CharField(max_length=100)
    labels = models.CharField(max_length=200, default="[]")
    value = models.FloatField(default=0.0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "labels"], name="shared_total_once")]

    def __str__(self) -> str:
        return f"{self.name}{self.labels} {self.value:g}"
