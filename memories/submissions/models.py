"""One row for each form that was submitted: the database decides which of two presses was the first."""

from __future__ import annotations

from django.db import models


class Submission(models.Model):
    """A form that was submitted. ``key``: the random number of the form's page. ``answer``: what the page said when it
    was done, "" until then. Holds no id and no word of a user."""

    key = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField(auto_now_add=True, db_index=True)
    answer = models.CharField(max_length=400, blank=True, default="")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"form of {self.at:%Y-%m-%d %H:%M}"
