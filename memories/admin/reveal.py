"""Who may read the words of a memory right now: a staff session that gave a reason, for a few minutes."""

from __future__ import annotations

import time

from django.http import HttpRequest

from memories.models import MemoryRow

MINUTES = 15
_KEY = "revealed_memories"


def open_for(request: HttpRequest, row: MemoryRow) -> None:
    until = {key: value for key, value in request.session.get(_KEY, {}).items() if value > time.time()}
    request.session[_KEY] = {**until, str(row.pk): time.time() + MINUTES * 60}


def is_open(request: HttpRequest, row: MemoryRow) -> bool:
    return float(request.session.get(_KEY, {}).get(str(row.pk), 0)) > time.time()
