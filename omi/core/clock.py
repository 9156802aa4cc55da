"""The time that all hosts of a deployment agree on: the database's.

A host whose clock is minutes wrong would otherwise take the leases of the others, or be taken for dead, and place what
it hears before or after its time. On one host the time is the machine's own, and nothing is asked.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time as machine
from datetime import datetime, timedelta

import structlog
from django.db import Error, connection
from django.utils import timezone

from omi.core.host import several

log = structlog.get_logger(__name__)

FRESH_SECONDS = 30.0
"""How long a comparison with the database's clock is believed."""
NOISE_SECONDS = 0.5
"""A smaller difference is the way to the database and back, and no clock that is wrong."""
SLOW_SECONDS = 2.0
"""An answer that took longer says too little about the time."""
AGAIN_SECONDS = 1.0
"""The pause between two questions where the database does not answer."""
FIRST_SECONDS = 5.0
"""How long the first question of a process is waited for."""


class _Comparison:
    """What this process knows of the difference. ``behind``: seconds to be added to the machine's time."""

    def __init__(self) -> None:
        self.behind = 0.0
        self._at: float | None = None  # monotonic
        self._step = 0.0  # wall clock less monotonic clock, then: it changes where the clock is set
        self._tried = -AGAIN_SECONDS  # monotonic
        self._asking = threading.Lock()

    def fresh(self) -> bool:
        if self._at is None or machine.monotonic() - self._at > FRESH_SECONDS:
            return False
        return abs(machine.time() - machine.monotonic() - self._step) < NOISE_SECONDS

    def known(self) -> bool:
        return self._at is not None

    def ask(self) -> threading.Thread | None:
        """Compare in a thread with a connection of its own; None where one is at it already, or just was in vain."""
        if machine.monotonic() - self._tried < AGAIN_SECONDS or not self._asking.acquire(blocking=False):
            return None
        self._tried = machine.monotonic()
        thread = threading.Thread(target=self._ask, name="clock", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the process is ending
            self._asking.release()
            return None
        return thread

    def _ask(self) -> None:
        try:
            before = machine.time()
            with connection.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
                told = float(cursor.fetchone()[0])
            after = machine.time()
            if 0.0 <= after - before <= SLOW_SECONDS:
                difference = told - (before + after) / 2
                if abs(difference - self.behind) > NOISE_SECONDS:
                    log.warning("clock_differs", behind=round(difference, 1))
                self.behind = difference if abs(difference) > NOISE_SECONDS else 0.0
                self._at, self._step = machine.monotonic(), machine.time() - machine.monotonic()
        except Error:
            pass  # the next one who asks for the time tries again; until then what was known holds
        finally:
            connection.close()
            self._asking.release()


_comparison = _Comparison()


def _in_child() -> None:
    """A forked worker asks for itself: the thread that was asking is not there, and its lock may be taken."""
    global _comparison
    known, _comparison = _comparison.behind, _Comparison()
    _comparison.behind = known


os.register_at_fork(after_in_child=_in_child)


def behind() -> float:
    """Seconds that this machine's clock is behind the database's (negative: ahead); 0 on a single host. Never waits
    for the database but for the first answer, and there never in an event loop's thread."""
    if not several() or connection.vendor != "postgresql":
        return 0.0
    if not _comparison.fresh():
        asking = _comparison.ask()
        if asking is not None and not _comparison.known() and not _in_loop():
            asking.join(FIRST_SECONDS)
    return _comparison.behind


def now() -> datetime:
    """Return the time (UTC) by the database's clock."""
    return timezone.now() + timedelta(seconds=behind())


def time() -> float:
    """Return the time by the database's clock in seconds since 1970."""
    return machine.time() + behind()


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
