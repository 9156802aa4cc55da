"""Measured figures of vendors, of which their order and weights are learned. Nothing of people."""

from __future__ import annotations

from django.db import models


class VendorFigure(models.Model):
    """How one vendor did on one item of an evaluation: ``wrong`` of ``words``, in ``seconds`` for ``audio`` seconds.

    ``cost`` in US dollars. ``kind``: live or prerecorded. ``measured`` names the evaluation: vendors are compared on
    the same items.
    """

    vendor = models.CharField(max_length=64)
    kind = models.CharField(max_length=12)
    language = models.CharField(max_length=16, blank=True, default="")
    measured = models.CharField(max_length=64)
    item = models.CharField(max_length=120)
    wrong = models.FloatField()
    words = models.FloatField()
    seconds = models.FloatField(default=0.0)
    audio = models.FloatField(default=0.0)
    cost = models.FloatField(default=0.0)
    at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["vendor", "kind", "measured", "item"], name="learning_figure_once")
        ]
        indexes = [models.Index(fields=["kind", "language", "-at"], name="learning_figure_newest")]

    def __str__(self) -> str:
        return f"{self.vendor} on {self.item}"
