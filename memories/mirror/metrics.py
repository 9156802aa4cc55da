"""Figures of the stores, read from rows: samples of the mirror, erasures, and words that are still to be indexed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count
from prometheus_client.core import GaugeMetricFamily

from memories.mirror.models import ErasureReceipt, MemoryRow, MirrorSample


def families() -> Iterable[Any]:
    sample = MirrorSample.objects.order_by("-at", "-pk").first()
    if sample is not None:
        found = GaugeMetricFamily(
            "omi_mirror_differences", "Differences that the last sample found, by kind", labels=["kind"]
        )
        for kind, count in sample.differences.items():
            found.add_metric([kind], count)
        yield found
        yield GaugeMetricFamily("omi_mirror_checked", "Memories compared by the last sample", sample.checked)
        yield GaugeMetricFamily(
            "omi_mirror_sampled_timestamp_seconds", "When the last sample was taken", sample.at.timestamp()
        )
    erasures = GaugeMetricFamily(
        "omi_erasures", "Erasures, by kind and whether every store was reached", labels=["kind", "complete"]
    )
    for row in ErasureReceipt.objects.values("kind", "complete").order_by().annotate(count=Count("pk")):
        erasures.add_metric([row["kind"], str(row["complete"]).lower()], row["count"])
    yield erasures
    stale = MemoryRow.objects.filter(words_stale=True).count()
    yield GaugeMetricFamily("omi_words_stale", "Memories that the word index has not read since they changed", stale)
