"""The figure of recaps, read from rows: how many were given up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily

from memories.recaps import making
from omi.shared_metrics.collectors import register_rows

MOST: Final = 10_000
"""A scrape counts no further than this."""


def families() -> Iterable[Any]:
    """One query, of the recaps that are due, by their index."""
    count = making.given_up()[:MOST].count()
    yield GaugeMetricFamily(
        "omi_recaps_given_up", "Recaps that were tried too often and are not tried again, 10,000 at most", count
    )


def register() -> None:
    """Register the figure of recaps at Prometheus, when the app is ready."""
    register_rows(families)
