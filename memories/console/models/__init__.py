"""Rows of the console."""

from __future__ import annotations

from memories.console.models.audit import AuditEntry
from memories.console.models.failures import FailedRun, FailureGroup, FailureHour, FigureSnapshot
from memories.console.models.permissions import Console
from memories.console.models.replays import Replay, ReplayItem, ReplayLog

__all__ = [
    "AuditEntry",
    "Console",
    "FailedRun",
    "FailureGroup",
    "FailureHour",
    "FigureSnapshot",
    "Replay",
    "ReplayItem",
    "ReplayLog",
]
