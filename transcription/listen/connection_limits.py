"""How many ``/listen`` connections one user may have open in this process, how much audio a day may bring, and who is
still let in while the server has no room for more."""

from __future__ import annotations

import time

from django.conf import settings

from omi.serving import admission
from transcription.journal.quota import QUOTA
from transcription.listen.authentication import Refused
from transcription.listen.live_socket import LiveSocket

SILENT_SECONDS = 20.0
"""A connection that has sent nothing for this long gives up its slot to a new one of the same user."""

_slots: dict[str, list[LiveSocket]] = {}
_left: dict[str, float] = {}
"""Users whose last connection to this process ended within the gap, and when: their conversation goes on. Oldest
first."""


def users() -> list[str]:
    """Users who have a socket in this process."""
    return list(_slots)


def sockets_of(uid: str) -> list[LiveSocket]:
    """The user's open sockets in this process, oldest first."""
    return list(_slots.get(uid, ()))


def require_audio_left(uid: str) -> None:
    """Make sure that the user may send audio today; raises Refused once the day's bytes are used up."""
    if QUOTA.used_up(uid):
        raise Refused("daily_audio", "Today's audio is used up; it is taken again after midnight (UTC).", later=True)


def take_slot(uid: str, socket: LiveSocket) -> None:
    """Count ``socket`` as one of the user's. Raises Refused when all of the user's slots in this process are taken by
    connections that are alive, the user's audio of today is used up, or the server has no room for a new conversation.

    A connection that has been silent gives way to the new one: after a lost network the old socket is still open here
    for half a minute, and must not lock the user out.
    """
    require_audio_left(uid)
    _require_room(uid)
    slots = _slots.setdefault(uid, [])
    if len(slots) >= settings.OMI_SOCKETS_PER_USER:
        silent = min(slots, key=lambda other: other.last_message)
        if time.monotonic() - silent.last_message < SILENT_SECONDS:
            raise Refused("too_many_sockets", "This user has too many open connections.")
        slots.remove(silent)
        silent.give_way()
    slots.append(socket)


def leave_slot(uid: str, socket: LiveSocket) -> None:
    """Count ``socket`` no longer. Idempotent."""
    slots = _slots.get(uid)
    if slots is not None and socket in slots:
        slots.remove(socket)
        if not slots:
            del _slots[uid]
            _forget_left()
            _left.pop(uid, None)
            _left[uid] = time.monotonic()


def _require_room(uid: str) -> None:
    """Raise Refused for a newcomer where ``admission`` lets nobody in. Who is here, or was within the gap, is none."""
    _forget_left()
    if uid in _slots or uid in _left:
        return
    refused = admission.refusal("socket")
    if refused is not None:
        raise Refused(refused.code, refused.sentence, later=True)


def _forget_left() -> None:
    past = time.monotonic() - settings.OMI_GAP_SECONDS
    while _left and next(iter(_left.values())) < past:
        del _left[next(iter(_left))]
