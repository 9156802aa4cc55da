"""An account that is erased is erased where it is open, too: its sockets are closed, what they hold is discarded. A
user who is signed out everywhere is sent away; what was said until then is kept.

In the process that erases this happens before anything is deleted; another process looks every ``LOOK_SECONDS``. What
slips through in between is stopped at the stores (``memories.capture.fence``).
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Any

import structlog
from channels.db import database_sync_to_async

from omi.accounts.erased import account_erased, erased_among
from omi.accounts.revocation import signed_out_among
from transcription import capacity, entrance

log = structlog.get_logger(__name__)

LOOK_SECONDS = 2.0
WAIT_SECONDS = 10.0
"""How long an erasure waits for the sockets to let go; what is then left meets the fence."""

_loop: asyncio.AbstractEventLoop | None = None
_task: asyncio.Task[None] | None = None


def watch() -> None:
    """Look from now on, for as long as anybody is connected. In the event loop."""
    global _loop, _task
    running = asyncio.get_running_loop()
    if _task is None or _task.done() or _loop is not running:
        _loop = running
        _task = running.create_task(_watch(), name="erased-users")


async def _watch() -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        users = {*entrance.users(), *capacity.users()}
        if not users:
            return
        try:
            look = database_sync_to_async(_look, thread_sensitive=False, executor=entrance.THREADS)
            erased, signed_out = await look(users)
        except Exception as error:  # the database is away: looked again
            log.warning("erasures_unavailable", error=type(error).__name__)
            continue
        for uid, erased_at in erased.items():
            await part_with(uid, erased_at)
        for uid, signed_out_at in signed_out.items():
            send_away(uid, signed_out_at)


def _look(users: set[str]) -> tuple[dict[str, datetime], dict[str, datetime]]:
    return erased_among(users), signed_out_among(users)


def send_away(uid: str, signed_out_at: datetime) -> None:
    """Close the sockets that came in before; their sessions end as if the client had left."""
    for socket in entrance.sockets_of(uid):
        if socket.sign_in is not None and socket.sign_in.issued_at <= signed_out_at.timestamp():
            socket._part("unauthenticated", "The user was signed out.")


async def part_with(uid: str, erased_at: datetime) -> None:
    """Close the sockets that came in before, discard the sessions that began under them."""
    moment = erased_at.timestamp()
    sockets = [
        socket
        for socket in entrance.sockets_of(uid)
        if socket.sign_in is not None and socket.sign_in.issued_at <= moment
    ]
    sessions = [session for session in capacity.sessions_of(uid) if session.plan.signed_in <= moment]
    for socket in sockets:
        with contextlib.suppress(Exception):  # it may be closing by itself
            await socket.discard()
    for session in sessions:
        try:
            await session.discard()
        except Exception as error:
            log.error("session_not_discarded", error=type(error).__name__)
        capacity.leave(uid, session)
    if sockets or sessions:
        log.info("erased_user_parted_with", sockets=len(sockets), sessions=len(sessions))


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


account_erased.connect(_on_erased, dispatch_uid="transcription.erased_users")
