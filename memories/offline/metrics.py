"""Figures of offline batches, read from their rows when they are scraped: what waits, how long, what was given up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from memories.offline import ending
from memories.offline.batches import UNFINISHED
from memories.offline.models import SyncBatch
from omi.shared_metrics.collectors import register_rows

MOST: Final = 10_000
"""Rows that a scrape reads or counts, whatever there is."""
FRESH: Final = 5.0
"""Seconds for which what was read is told again."""


def register() -> None:
    """Register the figures of offline batches at Prometheus, when the app is ready."""
    register_rows(families, fresh=FRESH)


def families() -> Iterable[Any]:
    """A few queries by an index."""
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
