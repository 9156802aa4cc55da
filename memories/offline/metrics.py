"""Figures of offline batches, read from their rows when they are scraped: what waits, how long, what was given up."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from django.db import Error
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from memories.offline import ending
from memories.offline.batches import UNFINISHED
from memories.offline.models import SyncBatch
from omi.shared_metrics.collectors import register_once

MOST: Final = 10_000
"""Rows that a scrape reads or counts, whatever there is."""
FRESH: Final = 5.0
"""Seconds for which what was read is told again."""


class OfflineCollector(Collector):
    """A few queries by an index, at most every ``FRESH`` seconds. While the rows cannot be read nothing is told: the
    pipeline's figures say that rows are unreadable."""

    def __init__(self) -> None:
        self._until = 0.0
        self._families: list[Any] = []

    def describe(self) -> Iterable[Any]:
        return []  # nothing is asked of the database while the process starts

    def collect(self) -> Iterable[Any]:
        if time.monotonic() > self._until:
            try:
                self._families = list(_families())
            except Error:
                self._families = []
            self._until = time.monotonic() + FRESH
        return self._families


def register() -> None:
    """Register the figures of offline batches at Prometheus; once per process, when the app is ready."""
    register_once(OfflineCollector)


def _families() -> Iterable[Any]:
    batches = GaugeMetricFamily(
        "omi_offline_batches",
        "Offline batches that are not over, and those that failed and can be tried again, 10,000 at most of each state",
        labels=["state"],
    )
    for state in UNFINISHED:
        batches.add_metric([state.value], SyncBatch.objects.filter(state=state).order_by()[:MOST].count())
    batches.add_metric([SyncBatch.State.FAILED.value], _given_up())
    yield batches
    now = timezone.now()
    queued = SyncBatch.objects.filter(state=SyncBatch.State.QUEUED).order_by("due_at")
    # Workers are at a handful of the oldest: what they are at is left out here, not by going on through the table.
    first = queued.values_list("due_at", "until")[:MOST]
    oldest = next((due for due, until in first.iterator() if due and (until is None or until < now)), None)
    age = (now - oldest).total_seconds() if oldest else 0.0
    yield GaugeMetricFamily(
        "omi_offline_oldest_seconds", "How long the oldest batch that no worker is at has been due", max(0.0, age)
    )


def _given_up() -> int:
    """Of ``MOST`` batches that failed (they are kept for days) those of which something is still here."""
    failed = SyncBatch.objects.filter(state=SyncBatch.State.FAILED).order_by().values("pk")[:MOST]
    return ending.given_up().filter(pk__in=failed).order_by().count()
