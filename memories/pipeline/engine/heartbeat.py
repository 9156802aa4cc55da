"""Renewing leases while steps work: one thread of each worker process beats for the runs that are at work in it."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

import structlog
from django.conf import settings
from django.db import connection

from memories.pipeline.engine.lease import Lease, lease_time
from memories.pipeline.models import PostProcessingRun
from omi.core import clock

log = structlog.get_logger(__name__)


class Heartbeat:
    """Renews a lease while a step works; stops by itself when the step has had its time.

    A worker that is frozen as a whole stops beating, and so does one whose step hangs: the runs of both are reclaimed.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease, self._limit = lease, 0.0
        self._until = 0.0  # of the monotonic clock: putting the wall clock on must not end a step

    def step(self, limit: float) -> None:
        """A step begins that may take ``limit`` seconds."""
        self._limit = limit
        self.begin_anew()
        _pulse.add(self)

    def begin_anew(self) -> None:
        """The step got on: it may take as long again."""
        self._until = time.monotonic() + self._limit

    def stop(self) -> None:
        _pulse.remove(self)

    def beat(self) -> bool:
        """Renew the lease; False when there is nothing to renew any more. Raises what the database raises."""
        if time.monotonic() > self._until:
            log.warning("step_over_its_time", run_id=self._lease.run_id)
            return True
        now = clock.now()
        mine = PostProcessingRun.objects.filter(self._lease.condition())
        return bool(mine.update(lease_until=now + lease_time(), heartbeat_at=now))


class _Pulse:
    """The thread. It is started with the first run of a process, and anew in a process that was forked from it."""

    def __init__(self) -> None:
        self._beats: set[Heartbeat] = set()
        self._pace = threading.Condition()
        self._interval = 0.0
        self._pid = 0

    def add(self, beat: Heartbeat) -> None:
        with self._pace:
            if self._pid != os.getpid():
                self._pid, self._beats = os.getpid(), set()
                threading.Thread(target=self._run, name="heartbeats", daemon=True).start()
            self._beats.add(beat)
            if self._interval != settings.OMI_LEASE_SECONDS / 4:
                self._interval = settings.OMI_LEASE_SECONDS / 4
                self._pace.notify()

    def remove(self, beat: Heartbeat) -> None:
        with self._pace:
            self._beats.discard(beat)

    def _run(self) -> None:
        next_beat = time.monotonic() + settings.OMI_LEASE_SECONDS / 4
        while True:
            with self._pace:
                if self._pace.wait(max(0.0, next_beat - time.monotonic())):  # the lease's length was changed
                    next_beat = time.monotonic() + self._interval
                    continue
                beats = list(self._beats)
            next_beat = time.monotonic() + self._interval
            if beats:
                try:
                    self._beat(beats)
                except Exception:  # the only thread that renews leases: it ends with the process, and not before
                    log.exception("heartbeats_failed")

    def _beat(self, beats: list[Heartbeat]) -> None:
        try:
            for beat in beats:
                try:
                    if not beat.beat():
                        self.remove(beat)
                except Exception as error:  # the next beat may reach the database again; the lease decides
                    log.warning("heartbeat_failed", error=type(error).__name__)
        finally:
            connection.close()


_pulse: Final = _Pulse()
