"""What each host does for itself every few seconds, where there are several: live, erase what was asked, recover what
its processes left, hand over what has ended, and declare lost who has been silent for too long. One that takes itself
for the only one says that it lives, and looks whether another does, too.

``manage.py serve`` calls it on web and worker hosts alike; processes that share a data folder may do so at once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import structlog
from django.db import Error

from omi.core.host import several
from transcription.hosts import handover, heartbeats, host_requests
from transcription.session import lost_hosts
from transcription.session.recovery import recover_sessions

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 5.0
SELDOM_SECONDS = 600.0

_seldom_at = 0.0


def tick() -> dict[str, int]:
    """One heartbeat; what each part did (-1: it failed, and is tried again). One part keeps no other from its work."""
    global _seldom_at
    if not several():
        return _alone() if heartbeats.kept() else {}
    parts: dict[str, Callable[[], object]] = {
        "beat": heartbeats.beat,
        "answered": host_requests.answer,
        "recovered": recover_sessions,
        "here": heartbeats.follow,
        "handed_over": handover.hand_over_all,
        "declared_lost": lost_hosts.declare_silent,
        "lost": lost_hosts.end_sessions,
    }
    if time.monotonic() >= _seldom_at:
        _seldom_at = time.monotonic() + SELDOM_SECONDS
        parts |= {"swept": heartbeats.forget_swept, "forgotten": heartbeats.forget_lost}
    done: dict[str, int] = {}
    for name, part in parts.items():
        try:
            done[name] = int(part() or 0)  # type: ignore[call-overload]
        except Exception as error:
            log.warning("host_upkeep_failed", part=name, error=type(error).__name__)
            done[name] = -1
            if name == "beat":
                break  # the database is away: so it is for the others
    return done


def _alone() -> dict[str, int]:
    """``beat`` as in ``tick``; ``uncounted``: how many other hosts live, which is an error of the settings."""
    global _seldom_at
    try:
        heartbeats.beat()
        others = heartbeats.uncounted()
        if time.monotonic() >= _seldom_at:
            _seldom_at = time.monotonic() + SELDOM_SECONDS
            heartbeats.forget_stopped()
            if others:
                log.error("hosts_not_counted", others=others[:10], setting="OMI_HOSTS=1")
    except Error as error:
        log.warning("host_upkeep_failed", part="beat", error=type(error).__name__)
        return {"beat": -1}
    return {"beat": 0, "uncounted": len(others)}


def leave() -> None:
    """The servers of this host have stopped: what they left is recovered and handed over, so that nobody waits for its
    next start. A host with nothing on its disk is not missed: it takes its row along."""
    if several():
        tick()
        heartbeats.leave()
    elif heartbeats.kept():
        with contextlib.suppress(Error):  # the database is away: a row that stays counts as silent within a minute
            heartbeats.retire()
