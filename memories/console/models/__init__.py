"""Rows of the console."""

from __future__ import annotations

from memories.console.models.audit import AuditEntry
from memories.console.models.permissions import Console

__all__ = ["AuditEntry", "Console"]
