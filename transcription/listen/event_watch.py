"""One look at the event logs for all sockets of this process: whose log has grown is said by one query, and only those
clients' feeds read it.

A nudge makes a feed read at once. A look is the safety net: a nudge may not reach this process (the channel layer
delivers at most once), and without Redis none comes from another one, such as the worker that makes the memory.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from omi.core.watch_task import WatchTask
from transcription.listen.event_feed import EventFeed
from transcription.ports import SessionSink

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
SELDOM = 10.0
"""How often a log is looked at for which no event is expected (s); with an expected event it is every look."""

_feeds: set[EventFeed] = set()


def add(feed: EventFeed) -> None:
    """Look at this feed's log from now on. In the event loop."""
    _feeds.add(feed)
    _task.ensure()


def remove(feed: EventFeed) -> None:
    """Stop watching the log for this feed; it may have been removed before."""
    _feeds.discard(feed)


async def _watch() -> None:
    while _feeds:
        await asyncio.sleep(LOOK_SECONDS)
        by_sink: dict[int, tuple[SessionSink, list[EventFeed]]] = {}
        now = time.monotonic()
        for feed in list(_feeds):
            if feed.expects or now - feed.looked_at >= SELDOM:
                by_sink.setdefault(id(feed.sink), (feed.sink, []))[1].append(feed)
        for sink, feeds in by_sink.values():
            await look(sink, feeds)


_task = WatchTask("event-watch", _watch)


async def look(sink: SessionSink, feeds: list[EventFeed]) -> None:
    """Have those of ``feeds`` read whose user's log has grown."""
    try:
        latest = await sink.latest_events({feed.uid for feed in feeds})
    except Exception as error:  # whatever the store is: looked at again
        log.warning("events_unavailable", error=type(error).__name__)
        return
    for feed in feeds:
        feed.looked_at = time.monotonic()
    grown = [feed for feed in feeds if feed.number is None or latest.get(feed.uid, 0) > feed.number]
    await asyncio.gather(*(feed.look() for feed in grown))
