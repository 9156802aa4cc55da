"""What goes on after a session's client has gone: its end, and the way of its journal to other hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import structlog
from channels.db import database_sync_to_async

from omi.core.database_threads import pool
from omi.core.host import several
from transcription.hosts import handover
from transcription.journal.store import Entry

log = structlog.get_logger(__name__)

_HANDING = pool("handing", 2)
_TASKS: set[asyncio.Task[None]] = set()


def keep(task: asyncio.Task[None]) -> None:
    """Hold on to a task until it has ended: a draining process waits for it."""
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)


def endings() -> set[Awaitable[None]]:
    """Sessions whose client has gone and whose work has not ended: a draining process waits for them."""
    return set(_TASKS)


def hand_over(entry: Entry, *, removed: bool) -> None:
    """Hand the journal over: where there are several hosts the journal goes to the audio store; the session has ended
    without waiting for it. What cannot go now does at a later heartbeat of this host."""
    if several():
        keep(asyncio.create_task(_hand_over(entry, removed), name="session-hand-over"))


async def _hand_over(entry: Entry, removed: bool) -> None:
    work = handover.gone if removed else handover.hand_over
    given = entry.session_id if removed else entry
    try:
        await database_sync_to_async(work, thread_sensitive=False, executor=_HANDING)(given)
    except Exception as error:
        log.warning("journal_not_handed_over", session=entry.session_id, error=type(error).__name__)
