"""What the journals of this host take on the disk, for ``/metrics``.

A host may hold thousands of journals, and a scrape must not wait for a disk: a thread looks through the folders at most
once a minute, and a scrape shows what it saw last.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from omi.core.host import several
from omi.shared_metrics.collectors import register_once
from transcription.journal.store import FINISHED, OPEN, RELEASED, sessions
from transcription.journal.writer import OPEN as WRITTEN_HERE

log = structlog.get_logger(__name__)

EVERY: Final = 60.0
"""Seconds between two looks."""


@dataclass(slots=True)
class Seen:
    """One look: journals and bytes by state, how long ago the most neglected open one was written to, and the one that
    has waited longest for the audio store (``unsent``)."""

    count: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    size: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    idle: float = 0.0
    unsent: float = 0.0


def look() -> Seen:
    """Go through the folders once. Blocking."""
    seen = Seen()
    now = time.time()
    for entry in sessions():
        state = entry.meta.state
        if state not in (OPEN, FINISHED, RELEASED):
            continue
        try:
            status = entry.audio.stat()
        except OSError:  # nothing was written yet, or it goes at this moment
            continue
        seen.count[state] += 1
        seen.size[state] += status.st_size
        if state == OPEN:
            seen.idle = max(seen.idle, now - status.st_mtime)
        elif entry.meta.watch and several():  # as ``transcription.hosts.handover`` chooses them
            seen.unsent = max(seen.unsent, now - status.st_mtime)
    return seen


class JournalCollector(Collector):
    """Shows the last look, and has the next one taken by a thread when it is due."""

    def __init__(self) -> None:
        self._seen: Seen | None = None
        self._due = 0.0
        self._lock = threading.Lock()

    def describe(self) -> Iterable[Any]:
        return []

    def collect(self) -> Iterable[Any]:
        self._look_when_due()
        count = GaugeMetricFamily("omi_journals", "Journals of this host, by state.", labels=["state"])
        size = GaugeMetricFamily("omi_journal_bytes", "Bytes of audio in the journals of this host.", labels=["state"])
        idle = GaugeMetricFamily(
            "omi_journal_idle_seconds", "Since the open journal that was neglected longest was written to."
        )
        unsent = GaugeMetricFamily(
            "omi_journal_unsent_seconds",
            "Since the ended journal that has waited longest for the audio store was written to.",
        )
        if (seen := self._seen) is not None:
            for state in (OPEN, FINISHED, RELEASED):
                count.add_metric([state], seen.count[state])
                size.add_metric([state], seen.size[state])
            idle.add_metric([], seen.idle)
            unsent.add_metric([], seen.unsent)
        yield from (count, size, idle, unsent)
        waiting = max((journal.unsynced_seconds() for journal in list(WRITTEN_HERE)), default=0.0)
        yield GaugeMetricFamily(
            "omi_journal_unsynced_seconds",
            "Age of the oldest audio of this process that the disk may not hold.",
            waiting,
        )

    def _look_when_due(self) -> None:
        with self._lock:
            if time.monotonic() < self._due:
                return
            self._due = time.monotonic() + EVERY
        threading.Thread(target=self._look, name="journal-survey", daemon=True).start()

    def _look(self) -> None:
        try:
            self._seen = look()
        except OSError as error:
            log.warning("journal_survey_failed", error=type(error).__name__)


def register() -> None:
    """Register the collector, once per process."""
    register_once(JournalCollector)
