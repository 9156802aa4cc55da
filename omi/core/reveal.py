"""What of a person staff may read or hear right now: a session that gave a reason, for a few minutes.

Pages below the console ask for its permissions by these names; its groups have them (``memories.console.roles``).
"""

from __future__ import annotations

import time
from typing import Final

from django.http import HttpRequest

MINUTES = 15
READ: Final = "console.reveal"
HEAR: Final = "console.play_audio"


def open_for(request: HttpRequest, kind: str, key: str) -> None:
    """Let this session read or hear something for ``MINUTES``. ``kind``: what is revealed (a name of the session's);
    ``key``: which one."""
    known = request.session.get(kind, {})
    until = {name: value for name, value in known.items() if value > time.time()}
    request.session[kind] = {**until, key: time.time() + MINUTES * 60}


def close(request: HttpRequest, kind: str, key: str) -> None:
    """Take back at once what ``open_for`` allowed this session."""
    known = request.session.get(kind, {})
    request.session[kind] = {name: value for name, value in known.items() if name != key}


def until(request: HttpRequest, kind: str, key: str) -> float:
    """Unix seconds at which it is masked again; 0 where nothing was revealed."""
    return float(request.session.get(kind, {}).get(key, 0))


def is_open(request: HttpRequest, kind: str, key: str) -> bool:
    """Return whether this session may see it now."""
    return until(request, kind, key) > time.time()
