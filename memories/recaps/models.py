"""Rows of recaps. They hold no words: a recap's text is the document ``users/{uid}/recaps/{kind}-{first day}``."""

from __future__ import annotations

from django.db import models


class Recap(models.Model):
    """One recap of one period; the row is what makes it one, however often and by whomever it is begun.

    ``first`` is the first day of the period in the user's zone. ``due``: it has to be made (again). ``until``: a worker
    is at it or, where ``claim`` is empty, the last try failed; after that moment a worker may. ``memories``: how many
    it was made of.
    """

    class Kind(models.TextChoices):
        """How long the period is."""

        DAY = "day"
        WEEK = "week"

    uid = models.CharField(max_length=128)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    first = models.DateField()
    due = models.BooleanField(default=True)
    until = models.DateTimeField(null=True, blank=True)
    claim = models.CharField(max_length=32, blank=True, default="")
    tries = models.PositiveIntegerField(default=0)
    memories = models.PositiveIntegerField(default=0)
    made_at = models.DateTimeField(null=True, blank=True)
    pushed = models.BooleanField(default=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uid", "kind", "first"], name="recaps_once")]
        indexes = [models.Index(fields=["until"], name="recaps_due", condition=models.Q(due=True))]

    def __str__(self) -> str:
        return f"{self.uid} {self.kind} {self.first}"


class RecapSource(models.Model):
    """A memory that a recap was made of: erasing it takes the recap's text along, which is then made without it."""

    pk = models.CompositePrimaryKey("recap_id", "memory_id")
    recap = models.ForeignKey(Recap, on_delete=models.CASCADE, db_index=False, related_name="sources")
    memory_id = models.CharField(max_length=128)

    class Meta:
        indexes = [models.Index(fields=["memory_id"], name="recaps_source")]

    def __str__(self) -> str:
        return f"{self.memory_id} in {self.recap_id}"


class RecapTurn(models.Model):
    """The time when a user is to be looked at next: after their next midnight."""

    uid = models.CharField(max_length=128, primary_key=True)
    next_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.uid} at {self.next_at}"
