"""Open event streams of this process: how many there may be, and one look at the log for all of them.

Each stream for itself would ask the database every second: three hundred took most of a core. Here one query a second
says whose log has grown, and only those streams read it. Streams of an account that was erased, or of a user who was
signed out everywhere, end.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import structlog
from channels.db import database_sync_to_async
from django.conf import settings
from prometheus_client import Gauge

from memories.user_events.log import latest_among
from omi.accounts import ended
from omi.accounts.erased import account_erased
from omi.accounts.revocation import signed_out
from omi.core.database_threads import THREADS
from omi.core.watch_task import WatchTask

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0


class TooManyStreams(Exception):
    """The user, or this process, has as many as there may be (429)."""


class Stream:
    """One user's place among the streams. ``grown`` is set when the user's log may hold more. ``issued_at``: of the
    sign-in that it was opened with (Unix seconds)."""

    def __init__(self, uid: str, issued_at: float) -> None:
        self.uid = uid
        self.issued_at = issued_at
        self.grown = asyncio.Event()
        self.seen = 0
        self.ended = False  # the account is gone, or its user signed out


_streams: set[Stream] = set()
_per_user: Counter[str] = Counter()


def enter(uid: str, issued_at: float | None = None) -> Stream:
    """Count a new event stream of the user as open, for ``leave`` to end; raises TooManyStreams.

    ``issued_at``: when the user signed in, in Unix seconds; now where it is not given.
    """
    if _per_user[uid] >= settings.OMI_STREAMS_PER_USER or len(_streams) >= settings.OMI_STREAMS:
        raise TooManyStreams
    stream = Stream(uid, time.time() if issued_at is None else issued_at)
    _streams.add(stream)
    _per_user[uid] += 1
    _task.ensure()
    ended.watch()
    return stream


def leave(stream: Stream) -> None:
    """Count a stream as closed; it may have been left before."""
    if stream in _streams:
        _streams.discard(stream)
        _per_user[stream.uid] -= 1
        if not _per_user[stream.uid]:
            del _per_user[stream.uid]


def count() -> int:
    """Return how many event streams are open in this process."""
    return len(_streams)


def _on_ended(sender: Any, uid: str, **_: Any) -> None:
    """An erasure or a sign-out in this process. It may come in any thread."""
    for stream in [stream for stream in list(_streams) if stream.uid == uid and stream.issued_at <= time.time()]:
        stream.ended = True
        if _task.loop is not None and _task.loop.is_running():
            _task.loop.call_soon_threadsafe(stream.grown.set)


account_erased.connect(_on_ended, dispatch_uid="memories.user_events.watch")
signed_out.connect(_on_ended, dispatch_uid="memories.user_events.watch")


async def _watch() -> None:
    while _streams:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            # Not the thread of the request that began the watch: that ends with it.
            look = database_sync_to_async(latest_among, thread_sensitive=False, executor=THREADS)
            latest = await look(list(_per_user))
        except Exception as error:  # the database is away: looked again
            log.warning("events_unavailable", error=type(error).__name__)
            continue
        for stream in list(_streams):
            if (number := latest.get(stream.uid, 0)) > stream.seen:
                stream.seen = number
                stream.grown.set()


async def end(erased: ended.Moments, out: ended.Moments) -> None:
    """End the streams of users whom another process has erased or signed out since they were opened."""
    for found in (erased, out):
        for stream in list(_streams):
            at = found.get(stream.uid)
            if at is not None and stream.issued_at <= at.timestamp():
                stream.ended = True
                stream.grown.set()


_task = WatchTask("event-streams", _watch)
ended.register(ended.Kind(lambda: list(_per_user), end))


STREAMS = Gauge("omi_event_streams", "Open event streams of this process.")
STREAMS.set_function(count)
