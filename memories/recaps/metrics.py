"""The figure of recaps, read from rows: how many were given up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django.db import Error
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from memories.recaps import making
from omi.shared_metrics.collectors import register_once

MOST: Final = 10_000
"""A scrape counts no further than this."""


class RecapCollector(Collector):
    """One query, of the recaps that are due, by their index. While the rows cannot be read nothing is told."""

    def describe(self) -> Iterable[Any]:
        return []  # nothing is asked of the database while the process starts

    def collect(self) -> Iterable[Any]:
        try:
            count = making.given_up()[:MOST].count()
        except Error:
            return
        yield GaugeMetricFamily(
            "omi_recaps_given_up", "Recaps that were tried too often and are not tried again, 10,000 at most", count
        )


def register() -> None:
    """Register the collector, once per process."""
    register_once(RecapCollector)
