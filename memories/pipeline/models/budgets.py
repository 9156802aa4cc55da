"""What each user has used, and when they last had a turn: for budgets and for fairness. Erased with the user."""

from __future__ import annotations

from django.db import models


class DailyUse(models.Model):
    """The ``amount`` of ``kind`` (``budgets.Kind``) that a user has used on one day (UTC)."""

    uid = models.CharField(max_length=128)
    day = models.DateField()
    kind = models.CharField(max_length=16)
    amount = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "day", "kind"], name="daily_use_once")]
        indexes = [models.Index(fields=["day", "kind", "-amount"], name="daily_use_most")]

    def __str__(self) -> str:
        return f"{self.uid} {self.day}: {self.amount} {self.kind}"


class UserTurn(models.Model):
    """The time at which a worker last took a run of this user."""

    uid = models.CharField(max_length=128, primary_key=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.uid}: {self.at}"
