"""Proof of life of a cluster, written by a worker that was handed a beat through the queue."""

from __future__ import annotations

from django.db import models


class ClusterBeat(models.Model):
    """The last proof that a cluster works. ``number`` is the last beat that travelled queue -> pusher -> worker; ``at``
    when the worker ran it."""

    name = models.CharField(max_length=64, primary_key=True)
    number = models.PositiveBigIntegerField(default=0)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} beat {self.number}"
