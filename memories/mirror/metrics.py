"""Figures of the stores, read from rows: samples of the mirror, erasures, and words that are still to be indexed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily

from memories.mirror.models import ErasureReceipt, MemoryRow, MirrorSample

MOST: Final = 10_000
"""A scrape counts no further than this: an import marks every memory at once."""


def families() -> Iterable[Any]:
    """Every family is told at every scrape, without samples where there is nothing to tell yet."""
    found = GaugeMetricFamily(
        "omi_mirror_differences", "Differences that the last sample found, by kind", labels=["kind"]
    )
    checked = GaugeMetricFamily("omi_mirror_checked", "Memories compared by the last sample")
    taken = GaugeMetricFamily("omi_mirror_sampled_timestamp_seconds", "When the last sample was taken")
    sample = MirrorSample.objects.order_by("-at", "-pk").first()
    if sample is not None:
        for kind, count in sample.differences.items():
            found.add_metric([kind], count)
        checked.add_metric([], sample.checked)
        taken.add_metric([], sample.at.timestamp())
    yield from (found, checked, taken)
    # Looked up in the index, for which SQLite needs a list: NOT complete would go through all that were ever completed.
    waiting = ErasureReceipt.objects.filter(complete__in=[False])
    oldest = waiting.order_by("started_at").values_list("started_at", flat=True).first()
    age = (timezone.now() - oldest).total_seconds() if oldest else 0.0
    count = waiting.order_by()[:MOST].count()
    yield GaugeMetricFamily("omi_erasures_open", "Erasures that have not reached every store, 10,000 at most", count)
    yield GaugeMetricFamily("omi_erasures_oldest_seconds", "Age of the oldest of them", age)
    stale = MemoryRow.objects.filter(words_stale=True)[:MOST].count()
    yield GaugeMetricFamily("omi_words_stale", "Memories that the word index has not read, 10,000 at most", stale)
