"""Figures of offline batches, read from their rows when they are scraped: what waits, how long, what was given up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import Error
from django.db.models import Count, Q
from django.utils import timezone
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily

from memories.offline import ending
from memories.offline.batches import UNFINISHED
from memories.offline.models import SyncBatch


class OfflineCollector:
    """Three queries by an index for each scrape. While the rows cannot be read nothing is told: that the figures are
    unreadable is said by the pipeline's."""

    def describe(self) -> Iterable[Any]:
        return []  # nothing is asked of the database while the process starts

    def collect(self) -> Iterable[Any]:
        try:
            return list(_families())
        except Error:
            return []


def register() -> None:
    """Once per process, when the app is ready."""
    if not any(isinstance(item, OfflineCollector) for item in list(REGISTRY._collector_to_names)):
        REGISTRY.register(OfflineCollector())


def _families() -> Iterable[Any]:
    counted = dict.fromkeys(UNFINISHED, 0)
    unfinished = SyncBatch.objects.filter(state__in=UNFINISHED).values("state").order_by()
    for row in unfinished.annotate(count=Count("pk")):
        counted[SyncBatch.State(row["state"])] = row["count"]
    batches = GaugeMetricFamily(
        "omi_offline_batches", "Offline batches that are not over, and those that failed and can be tried again",
        labels=["state"],
    )  # fmt: skip
    for state, count in counted.items():
        batches.add_metric([state.value], count)
    batches.add_metric([SyncBatch.State.FAILED.value], ending.given_up().order_by().count())
    yield batches
    now = timezone.now()
    queued = SyncBatch.objects.filter(Q(until=None) | Q(until__lt=now), state=SyncBatch.State.QUEUED)
    oldest = queued.order_by("due_at").values_list("due_at", flat=True).first()
    age = (now - oldest).total_seconds() if oldest else 0.0
    yield GaugeMetricFamily(
        "omi_offline_oldest_seconds", "How long the oldest batch that no worker is at has been due", max(0.0, age)
    )
