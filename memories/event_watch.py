"""Open event streams of this process: how many there may be, and one look at the log for all of them.

Each stream for itself would ask the database every second: three hundred took most of a core. Here one query a second
says whose log has grown, and only those streams read it.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from typing import Any

import structlog
from channels.db import database_sync_to_async
from django.conf import settings

from memories.event_models import EventCounter
from omi.accounts.erased import account_erased, erased_among
from omi.accounts.revocation import signed_out_among

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
CHUNK = 500


class TooManyStreams(Exception):
    """The user, or this process, has as many as there may be (429)."""


class Stream:
    """One user's place among the streams. ``grown`` is set when the user's log may hold more. ``issued_at``: when its
    client signed in (Unix seconds)."""

    def __init__(self, uid: str, issued_at: float) -> None:
        self.uid = uid
        self.issued_at = issued_at
        self.grown = asyncio.Event()
        self.seen = 0
        self.ended = False  # the account is gone, or its user was signed out everywhere


_streams: set[Stream] = set()
_per_user: Counter[str] = Counter()
_task: asyncio.Task[None] | None = None
_loop: asyncio.AbstractEventLoop | None = None


def enter(uid: str, issued_at: float = math.inf) -> Stream:
    """Raises TooManyStreams. Whoever enters leaves."""
    global _task, _loop
    if _per_user[uid] >= settings.OMI_STREAMS_PER_USER or len(_streams) >= settings.OMI_STREAMS:
        raise TooManyStreams
    stream = Stream(uid, issued_at)
    _streams.add(stream)
    _per_user[uid] += 1
    running = asyncio.get_running_loop()
    if _task is None or _task.done() or _loop is not running:
        _loop, _task = running, running.create_task(_watch(), name="event-streams")
    return stream


def leave(stream: Stream) -> None:
    """Idempotent."""
    if stream in _streams:
        _streams.discard(stream)
        _per_user[stream.uid] -= 1
        if not _per_user[stream.uid]:
            del _per_user[stream.uid]


def count() -> int:
    return len(_streams)


def _on_erased(sender: Any, uid: str, **_: Any) -> None:
    for stream in [stream for stream in list(_streams) if stream.uid == uid]:
        stream.ended = True
        if _loop is not None and _loop.is_running():
            _loop.call_soon_threadsafe(stream.grown.set)


account_erased.connect(_on_erased, dispatch_uid="memories.event_watch")


async def _watch() -> None:
    while _streams:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            # In threads of the loop, not in that of the request that happened to start this task and is long over.
            latest = await database_sync_to_async(_latest, thread_sensitive=False)(list(_per_user))
            ended = await database_sync_to_async(_ended, thread_sensitive=False)(list(_per_user))
        except Exception as error:  # the database is away: looked again
            log.warning("events_unavailable", error=type(error).__name__)
            continue
        for stream in list(_streams):
            if (number := latest.get(stream.uid, 0)) > stream.seen:
                stream.seen = number
                stream.grown.set()
            if stream.issued_at <= ended.get(stream.uid, -math.inf):
                stream.ended = True
                stream.grown.set()


def _ended(uids: list[str]) -> dict[str, float]:
    """Until when (Unix seconds) sign-ins of these users count for nothing, whichever process ended them."""
    moments = [*erased_among(uids).items(), *signed_out_among(uids).items()]
    return {uid: moment.timestamp() for uid, moment in sorted(moments, key=lambda item: item[1])}


def _latest(uids: list[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for at in range(0, len(uids), CHUNK):
        found.update(EventCounter.objects.filter(uid__in=uids[at : at + CHUNK]).values_list("uid", "last"))
    return found
