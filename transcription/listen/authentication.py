"""Who may come in: the token, the user's vocabulary, and one of the user's seats."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog
from channels.db import database_sync_to_async
from django.conf import settings

from transcription.journal.quota import QUOTA

if TYPE_CHECKING:
    from transcription.listen.consumer import ListenConsumer

log = structlog.get_logger(__name__)

SILENT_SECONDS = 20.0
"""A connection that has sent nothing for this long gives up its seat to a new one of the same user."""
MAX_VOCABULARY = 100

# Threads of their own: a slow identity service must not hold up database work, nor that this.
THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="entrance")


class Refused(Exception):
    """``later``: not the client's fault, it may try again."""

    def __init__(self, reason: str, sentence: str, *, later: bool = False) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.later = later


@dataclass(frozen=True, slots=True)
class Visitor:
    """``issued_at``, ``expires_at``: of the sign-in and of the token (Unix seconds)."""

    uid: str
    vocabulary: tuple[str, ...] = ()
    issued_at: float = 0.0
    expires_at: float = math.inf
    token: str = field(default="", repr=False)


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of an ``Authorization: Bearer`` header; None where there is no such header."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return None


async def admit(token: str) -> Visitor:
    """Raises Refused. One hop to a thread per connection."""
    return await _threaded(_admit, token)


async def verify(token: str) -> Visitor:
    """As ``admit``, without the user's vocabulary."""
    return await _threaded(_verify, token)


async def _threaded(function: Callable[[str], Visitor], token: str) -> Visitor:
    visitor: Visitor = await database_sync_to_async(function, thread_sensitive=False, executor=THREADS)(token)
    return visitor


def _admit(token: str) -> Visitor:
    visitor = _verify(token)
    return replace(visitor, vocabulary=_vocabulary(visitor.uid))


def _verify(token: str) -> Visitor:
    from omi.accounts.identity import IdentityUnavailable, InvalidToken, verify_token

    try:
        principal = verify_token(token)
    except InvalidToken as error:
        raise Refused("unauthenticated", "The token is not valid.") from error
    except IdentityUnavailable as error:
        raise Refused("identity_unavailable", "Sign-in cannot be checked at the moment.", later=True) from error
    return Visitor(principal.uid, (), principal.issued_at, principal.expires_at, token)


def _vocabulary(uid: str) -> tuple[str, ...]:
    """The user's own words. Without them transcription is a little worse: never a reason to refuse the audio."""
    from omi.accounts.users import get_user

    try:
        return tuple(dict.fromkeys(word.strip() for word in get_user(uid).vocabulary if word.strip()))[:MAX_VOCABULARY]
    except Exception as error:  # whatever the document store raises
        log.warning("vocabulary_unavailable", error=type(error).__name__)
        return ()


_seats: dict[str, list[ListenConsumer]] = {}


def users() -> list[str]:
    """Who has a socket in this process."""
    return list(_seats)


def sockets_of(uid: str) -> list[ListenConsumer]:
    return list(_seats.get(uid, ()))


def require_audio_left(uid: str) -> None:
    """Raises Refused where the user has sent all the audio that one day may bring."""
    if QUOTA.used_up(uid):
        raise Refused("daily_audio", "Today's audio is used up; it is taken again after midnight (UTC).", later=True)


def take_seat(uid: str, socket: ListenConsumer) -> None:
    """Raises Refused when all of the user's seats in this process are taken by connections that are alive, or the
    user's audio of today is used up.

    A connection that has been silent gives way to the new one: after a lost network the old socket is still open here
    for half a minute, and must not lock the user out.
    """
    require_audio_left(uid)
    seats = _seats.setdefault(uid, [])
    if len(seats) >= settings.OMI_SOCKETS_PER_USER:
        silent = min(seats, key=lambda other: other.last_message)
        if time.monotonic() - silent.last_message < SILENT_SECONDS:
            raise Refused("too_many_sockets", "This user has too many open connections.")
        seats.remove(silent)
        silent._spawn(silent.evict())
    seats.append(socket)


def leave_seat(uid: str, socket: ListenConsumer) -> None:
    seats = _seats.get(uid)
    if seats is not None and socket in seats:
        seats.remove(socket)
        if not seats:
            del _seats[uid]
