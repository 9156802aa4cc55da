"""An account that is erased, and a user who is signed out everywhere: their sockets are closed at once.

What an erased account's sockets hold is discarded: in the process that erases before anything is deleted; what slips
through is stopped at the stores (``memories.capture.fence``). A signed-out user's conversation ends as any other, its
words are kept. What another process ends is found by ``omi.accounts.ended``.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import structlog

from omi.accounts import ended
from omi.accounts.erased import account_erased
from omi.accounts.revocation import signed_out
from transcription.listen import capacity, connection_limits
from transcription.listen.live_socket import LiveSocket

log = structlog.get_logger(__name__)

WAIT_SECONDS = 10.0
"""How long an erasure waits for the sockets to let go; what is then left meets the fence."""

_loop: asyncio.AbstractEventLoop | None = None


def watch() -> None:
    """Close sockets whose sign-in is ended from now on. In the event loop."""
    global _loop
    _loop = asyncio.get_running_loop()
    ended.watch()


async def end(erased: ended.Moments, out: ended.Moments) -> None:
    """Close the sockets of users whom another process has erased or signed out."""
    for uid, erased_at in erased.items():
        await part_with(uid, erased_at)
    for uid, at in out.items():
        await close_sockets(uid, at)


async def part_with(uid: str, erased_at: datetime) -> None:
    """Close the sockets that came in before, discard the sessions that began under them."""
    moment = erased_at.timestamp()
    sockets = _since_before(uid, moment)
    sessions = [session for session in capacity.sessions_of(uid) if session.plan.signed_in <= moment]
    for socket in sockets:
        with contextlib.suppress(Exception):  # it may be closing by itself
            await socket.end_sign_in("The account was deleted.", keep=False)
    for session in sessions:
        try:
            await session.discard()
        except Exception as error:
            log.error("session_not_discarded", error=type(error).__name__)
        capacity.leave(uid, session)
    if sockets or sessions:
        log.info("erased_user_disconnected", sockets=len(sockets), sessions=len(sessions))


async def close_sockets(uid: str, signed_out_at: datetime) -> None:
    """Close the sockets whose sign-in was ended; their sessions end as at any disconnect."""
    sockets = _since_before(uid, signed_out_at.timestamp())
    for socket in sockets:
        with contextlib.suppress(Exception):  # it may be closing by itself
            await socket.end_sign_in("The user was signed out everywhere.", keep=True)
    if sockets:
        log.info("signed_out_user_disconnected", sockets=len(sockets))


def _since_before(uid: str, moment: float) -> list[LiveSocket]:
    """The user's sockets whose sign-in is not later than ``moment``."""
    return [
        socket
        for socket in connection_limits.sockets_of(uid)
        if socket.signed_in_at is not None and socket.signed_in_at <= moment
    ]


def _on_erased(sender: Any, uid: str, **_: Any) -> None:
    loop = _loop
    if loop is None or not loop.is_running():
        return
    work = asyncio.run_coroutine_threadsafe(part_with(uid, datetime.now(UTC)), loop)
    with contextlib.suppress(RuntimeError):
        if asyncio.get_running_loop() is loop:
            return  # from the loop itself nobody can wait for it
    try:
        work.result(WAIT_SECONDS)
    except TimeoutError:
        log.warning("erased_user_still_open")


def _on_signed_out(sender: Any, uid: str, **_: Any) -> None:
    if _loop is not None and _loop.is_running():
        asyncio.run_coroutine_threadsafe(close_sockets(uid, datetime.now(UTC)), _loop)


account_erased.connect(_on_erased, dispatch_uid="transcription.listen.ended_users")
signed_out.connect(_on_signed_out, dispatch_uid="transcription.listen.ended_users")
ended.register(ended.Kind(lambda: {*connection_limits.users(), *capacity.users()}, end))
