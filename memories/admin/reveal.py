"""Who may read the words of a memory right now: a staff session that gave a reason, for a few minutes."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest

from memories.models import MemoryRow
from omi.core import reveal
from omi.core.reveal import MINUTES

__all__ = ["MINUTES", "close", "is_open", "open_for", "until"]

_KIND = "revealed_memories"


def open_for(request: HttpRequest, row: MemoryRow) -> None:
    """Let this staff session read the memory's words for the minutes that ``omi.core.reveal`` allows."""
    reveal.open_for(request, _KIND, str(row.pk))


def is_open(request: HttpRequest, row: MemoryRow) -> bool:
    """Return whether this staff session may read the memory's words now."""
    return reveal.is_open(request, _KIND, str(row.pk))


def close(request: HttpRequest, row: MemoryRow) -> None:
    """Mask the words again, before their time."""
    reveal.close(request, _KIND, str(row.pk))


def until(request: HttpRequest, row: MemoryRow) -> datetime:
    """Return when the memory's words are masked again."""
    return datetime.fromtimestamp(reveal.until(request, _KIND, str(row.pk)), UTC)
