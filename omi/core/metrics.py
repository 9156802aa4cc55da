"""Prometheus metrics that several packages share; a package that counts only for itself keeps its own.

What workers count has to be a ``SharedCounter``: they are processes of their own, and nobody scrapes them. What web
servers alone count is an ordinary counter of the process. docs/metrics.md lists every metric.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from omi.shared_metrics.collectors import register_once
from omi.shared_metrics.counters import SharedCounter

documents_unreadable_total = SharedCounter(
    "omi_documents_unreadable", "Documents left out of a list because they are damaged."
)
vendor_answer_losses_total = SharedCounter(
    "omi_vendor_answer_losses",
    "Parts and fields of vendors' answers that could not be read and were left out.",
    ["vendor", "what"],
)

throttled_total = Counter("omi_throttled_total", "Requests beyond a user's rate (429).", ["kind"])
search_seconds = Histogram(
    "omi_search_seconds",
    "Time of a search, by whether it answered.",
    ["outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
vendor_callbacks_total = Counter(
    "omi_vendor_callbacks_total", "Callbacks of vendors, by what was done with them.", ["vendor", "result"]
)


class MachineCollector(Collector):
    """The disk under ``OMI_DATA_DIR``, and the monthly budgets that the settings name."""

    def describe(self) -> Iterable[Any]:
        return []

    def collect(self) -> Iterable[Any]:
        free = GaugeMetricFamily("omi_disk_free_bytes", "Free bytes of the file system under OMI_DATA_DIR.")
        size = GaugeMetricFamily("omi_disk_size_bytes", "Size in bytes of the file system under OMI_DATA_DIR.")
        try:
            disk = shutil.disk_usage(settings.OMI_DATA_DIR)
        except OSError:  # no sample rather than a wrong one: the alert on missing data tells
            pass
        else:
            free.add_metric([], disk.free)
            size.add_metric([], disk.total)
        yield from (free, size)
        budget = GaugeMetricFamily(
            "omi_vendor_budget_dollars", "OMI_VENDOR_BUDGET: what 30 days may cost, by vendor.", labels=["vendor"]
        )
        for vendor, dollars in settings.OMI_VENDOR_BUDGET.items():
            budget.add_metric([vendor], dollars)
        yield budget


def register() -> None:
    """Register the collector of the machine's figures, once per process."""
    register_once(MachineCollector)
