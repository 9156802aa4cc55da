"""Who a client is: its token is verified, and what its sessions need of the user is read with it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog
from channels.db import database_sync_to_async

from omi.accounts import throttles
from omi.accounts.identity import IdentityUnavailable, InvalidToken, verify_token
from omi.accounts.users import get_user
from omi.core import tuned
from omi.core.database_threads import pool

log = structlog.get_logger(__name__)

MAX_VOCABULARY = 100
TOO_OFTEN = "too_often"
TOO_OFTEN_SECONDS = 2.0
"""How long one who is refused for it waits for the answer: who is told at once is back at once."""

# Threads of their own: a slow identity service must not hold up database work, nor that this.
THREADS = pool("authentication", 8)


class Refused(Exception):
    """The client may not come in, or not stay. ``later``: it is not at fault and may try again."""

    def __init__(self, reason: str, sentence: str, *, later: bool = False) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.later = later


@dataclass(frozen=True, slots=True)
class Visitor:
    """A client whose token is good. ``order`` and ``accuracy``: of live vendors, where they are other ones for this
    user than the settings say. ``issued_at``, ``expires_at``: of the sign-in and of the token (Unix seconds)."""

    uid: str
    vocabulary: tuple[str, ...] = ()
    issued_at: float = 0.0
    expires_at: float = math.inf
    token: str = field(default="", repr=False)
    order: tuple[str, ...] = ()
    accuracy: Mapping[str, float] | None = None


def bearer(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The token of an ``Authorization: Bearer`` header; None where there is no such header."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            return token.strip() if scheme.lower() == "bearer" else ""
    return None


async def admit(token: str) -> Visitor:
    """Verify a token and read the user's vocabulary, in one turn of a thread. Raises Refused; who opens one socket
    after the other waits for that, and comes back slower."""
    try:
        return await _threaded(_admit, token)
    except Refused as refused:
        if refused.reason == TOO_OFTEN:
            await asyncio.sleep(TOO_OFTEN_SECONDS)
        raise


async def verify(token: str) -> Visitor:
    """Check a token as ``admit``, without the user's vocabulary."""
    return await _threaded(_verify, token)


async def _threaded(function: Callable[[str], Visitor], token: str) -> Visitor:
    visitor: Visitor = await database_sync_to_async(function, thread_sensitive=False, executor=THREADS)(token)
    return visitor


def _admit(token: str) -> Visitor:
    visitor = _verify(token)
    if not throttles.allowed("sockets", visitor.uid):
        sentence = "This user opens too many connections one after the other; try again."
        raise Refused(TOO_OFTEN, sentence, later=True)
    order = _tuned("live_order", visitor.uid)
    accuracy = _tuned("live_accuracy", visitor.uid)
    return replace(visitor, vocabulary=_vocabulary(visitor.uid), order=tuple(order or ()), accuracy=accuracy)


def _verify(token: str) -> Visitor:
    try:
        principal = verify_token(token)
    except InvalidToken as error:
        raise Refused("unauthenticated", "The token is not valid.") from error
    except IdentityUnavailable as error:
        raise Refused("identity_unavailable", "Sign-in cannot be checked at the moment.", later=True) from error
    return Visitor(principal.uid, issued_at=principal.issued_at, expires_at=principal.expires_at, token=token)


def _tuned(name: str, uid: str) -> Any:
    """Another value than the setting's for this user; None where there is none."""
    return tuned.value(name, None, uid=uid)


def _vocabulary(uid: str) -> tuple[str, ...]:
    """The user's own words. Without them transcription is a little worse: never a reason to refuse the audio."""
    try:
        return tuple(dict.fromkeys(word.strip() for word in get_user(uid).vocabulary if word.strip()))[:MAX_VOCABULARY]
    except Exception as error:  # whatever the document store raises
        log.warning("vocabulary_unavailable", error=type(error).__name__)
        return ()
