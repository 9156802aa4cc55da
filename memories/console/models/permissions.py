"""Permissions of the console, which belong to no table."""

from __future__ import annotations

from django.db import models

from memories.console.roles import PERMISSIONS


class Console(models.Model):
    """Carries the permissions; there are no rows."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = PERMISSIONS

    def __str__(self) -> str:
        return "console"
