"""How many live sessions there may be: per user and in this process, with those whose client has gone and that still
wait for their vendors' last words and for the stores.

Each holds vendor connections or an engine's process, a journal and a place in the event loop. A client that ends
conversations in a loop, or connects again and again, would otherwise hold hundreds.
"""

from __future__ import annotations

from django.conf import settings

from transcription.metrics import SESSIONS
from transcription.session.session import Session

_sessions: dict[str, set[Session]] = {}


def has_room(uid: str) -> bool:
    """Return whether the user may open a session: neither the process nor the user has as many as are allowed."""
    return count() < settings.OMI_SESSIONS and len(_sessions.get(uid, ())) < settings.OMI_SESSIONS_PER_USER


def enter(uid: str, session: Session) -> None:
    """Count a session as open."""
    _sessions.setdefault(uid, set()).add(session)


def leave(uid: str, session: Session) -> None:
    """Count a session as closed; it may have been left before."""
    of_user = _sessions.get(uid, set())
    of_user.discard(session)
    if not of_user:
        _sessions.pop(uid, None)


def sessions_of(uid: str) -> list[Session]:
    """Return the user's open sessions in this process."""
    return list(_sessions.get(uid, ()))


def users() -> list[str]:
    """Return the ids of the users who have an open session in this process."""
    return list(_sessions)


def count() -> int:
    """Return how many sessions are open in this process."""
    return sum(map(len, _sessions.values()))


SESSIONS.set_function(count)
