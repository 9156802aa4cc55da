"""How many ``/listen`` connections one user may have open in this process, how much audio a day may bring, and who is
still let in while the server has no room for more."""

from __future__ import annotations

import asyncio
import time

import structlog
from django.conf import settings

from omi.core.metrics import throttled_total
from omi.serving import admission
from transcription.journal.quota import QUOTA
from transcription.listen.authentication import Refused
from transcription.listen.live_socket import LiveSocket

log = structlog.get_logger(__name__)

SILENT_SECONDS = 20.0
"""A connection that has sent nothing for this long gives up its slot to a new one of the same user."""

TOO_OFTEN = "too_often"
TOO_OFTEN_SECONDS = 2.0
"""How long one who is refused for it waits for the answer: who is told at once is back at once."""

_slots: dict[str, list[LiveSocket]] = {}
_left: dict[str, float] = {}
"""Users whose last connection to this process ended within the gap, and when: their conversation goes on. Oldest
first."""


_opened: dict[int, dict[str, int]] = {}
"""How often each user has opened a connection within the minute (its number, of the monotonic clock) of now."""


def users() -> list[str]:
    """Users who have a socket in this process."""
    return list(_slots)


def sockets_of(uid: str) -> list[LiveSocket]:
    """The user's open sockets in this process, oldest first."""
    return list(_slots.get(uid, ()))


def require_audio_left(uid: str) -> None:
    """Raise Refused where the user has sent all the audio that one day may bring."""
    if QUOTA.used_up(uid):
        raise Refused("daily_audio", "Today's audio is used up; it is taken again after midnight (UTC).", later=True)


async def enter(uid: str, socket: LiveSocket) -> None:
    """As ``take_slot``. Whoever opens one connection after the other waits for its refusal, and comes back slower."""
    try:
        take_slot(uid, socket)
    except Refused as refused:
        if refused.reason == TOO_OFTEN:
            await asyncio.sleep(TOO_OFTEN_SECONDS)
        raise


def take_slot(uid: str, socket: LiveSocket) -> None:
    """Count ``socket`` as one of the user's. Raises Refused when all of the user's slots in this process are taken by
    connections that are alive, the user opens one after the other, the user's audio of today is used up, or the server
    has no room for a new conversation.

    A connection that has been silent gives way to the new one: after a lost network the old socket is still open here
    for half a minute, and must not lock the user out.
    """
    _require_pace(uid)
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


def _require_pace(uid: str) -> None:
    """Raise Refused where a client comes back again and again: each connection costs everybody as much as seconds of
    somebody's talk."""
    most, minute = settings.OMI_SOCKETS_PER_MINUTE, int(time.monotonic() // 60)
    if minute not in _opened:
        _opened.clear()
    mine = _opened.setdefault(minute, {})
    mine[uid] = mine.get(uid, 0) + 1
    if 0 < most < mine[uid]:
        throttled_total.labels("sockets").inc()
        if mine[uid] == most + 1:  # once a minute, not once a connection
            log.warning("throttled", kind="sockets", uid=uid, most=most)
        raise Refused(TOO_OFTEN, "This user opens too many connections one after the other; try again.", later=True)


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
