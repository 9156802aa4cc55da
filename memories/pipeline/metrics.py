"""Figures of the pipeline, read from the rows when they are scraped.

Workers are processes of their own and come and go: counters in their memory would be lost or need a shared folder. The
rows are right whoever answers the scrape. One scrape reads aggregates over what the tables keep, at most every
``FRESH`` seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Final

from django.db import DatabaseError
from django.db.models import Case, Count, F, Q, Sum, Value, When
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

FRESH: Final = 5.0
BUCKETS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)


class PipelineCollector:
    def __init__(self) -> None:
        self._until = 0.0
        self._families: list[Any] = []

    def describe(self) -> Iterable[Any]:
        return []  # nothing is asked of the database while the process starts

    def collect(self) -> Iterable[Any]:
        if time.monotonic() > self._until:
            try:
                self._families = list(_families())
            except DatabaseError:
                self._families = [GaugeMetricFamily("memory_pipeline_metrics_up", "1 if the rows could be read", 0)]
            self._until = time.monotonic() + FRESH
        return self._families


def register() -> None:
    """Once per process, when the app is ready."""
    if not any(isinstance(item, PipelineCollector) for item in list(REGISTRY._collector_to_names)):
        REGISTRY.register(PipelineCollector())


def _families() -> Iterable[Any]:
    from memories import store_metrics
    from memories.pipeline import selectors
    from memories.pipeline.models import PostProcessingRun, StepAttempt, VendorBreaker, VendorCall
    from memories.pipeline.reconcile import oldest_age
    from memories.pipeline.vocabulary import GOOD, State

    yield GaugeMetricFamily("memory_pipeline_metrics_up", "1 if the rows could be read", 1)
    yield _durations(StepAttempt.objects.values("step__name", "outcome").order_by())
    errors = CounterMetricFamily(
        "memory_postprocessing_errors", "Attempts that failed", labels=["step", "vendor", "outcome"]
    )
    failed = StepAttempt.objects.exclude(outcome__in=GOOD).values("step__name", "vendor", "outcome").order_by()
    for row in failed.annotate(count=Count("id")):
        errors.add_metric([row["step__name"], row["vendor"] or "-", row["outcome"]], row["count"])
    yield errors
    ended = CounterMetricFamily("memory_postprocessing_runs", "Runs that ended", labels=["kind", "outcome"])
    for row in (
        PostProcessingRun.objects.filter(state=State.FINISHED).values("kind", "outcome").order_by().annotate(
            count=Count("id")
        )
    ):  # fmt: skip
        ended.add_metric([row["kind"], row["outcome"]], row["count"])
    yield ended
    states = GaugeMetricFamily("memory_postprocessing_unfinished", "Runs that have not ended", labels=["state"])
    counted = dict.fromkeys([State.QUEUED, State.RUNNING, State.WAITING], 0)
    for row in PostProcessingRun.objects.exclude(state=State.FINISHED).values("state").order_by().annotate(
        count=Count("id")
    ):  # fmt: skip
        counted[State(row["state"])] = row["count"]
    for state, count in counted.items():
        states.add_metric([state.value], count)
    yield states
    yield GaugeMetricFamily("memory_postprocessing_oldest_seconds", "Age of the oldest unfinished run", oldest_age())
    yield GaugeMetricFamily("memory_postprocessing_dead_letters", "Given up and not retried",
                            selectors.dead_letters().count())  # fmt: skip
    calls = CounterMetricFamily("memory_vendor_calls", "Calls in the ledger", labels=["vendor", "operation", "outcome"])
    spent = CounterMetricFamily("memory_vendor_cost_dollars", "Estimated, at list prices", labels=["vendor"])
    costs: dict[str, float] = {}
    doubled = 0
    for row in (
        VendorCall.objects.values("vendor", "operation", "outcome").order_by()
        .annotate(count=Count("id"), cost=Sum("cost"), twice=Count("id", filter=Q(doubled=True)))
    ):  # fmt: skip
        calls.add_metric([row["vendor"], row["operation"], row["outcome"] or "unknown"], row["count"])
        costs[row["vendor"]] = costs.get(row["vendor"], 0.0) + float(row["cost"] or 0.0)
        doubled += row["twice"]
    for vendor, cost in costs.items():
        spent.add_metric([vendor], cost)
    yield calls
    yield spent
    yield CounterMetricFamily("memory_vendor_calls_doubled", "Paid calls that were made again", doubled)
    breakers = GaugeMetricFamily(
        "memory_vendor_breaker_open", "1 while a vendor is not called", labels=["vendor", "reason"]
    )
    for breaker in VendorBreaker.objects.all():
        breakers.add_metric([breaker.vendor, breaker.reason or "-"], int(breaker.open))
    yield breakers
    yield from store_metrics.families()


def _durations(rows: Any) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "memory_postprocessing_duration_seconds", "Time of an attempt of a step", labels=["step", "outcome"]
    )
    below = {
        f"b{index}": Sum(Case(When(seconds__lte=limit, then=Value(1)), default=Value(0)))
        for index, limit in enumerate(BUCKETS)
    }
    for row in rows.annotate(count=Count("id"), total=Sum(F("seconds")), **below):
        buckets = [(str(float(limit)), row[f"b{index}"]) for index, limit in enumerate(BUCKETS)]
        family.add_metric(
            [row["step__name"], row["outcome"]], [*buckets, ("+Inf", row["count"])], sum_value=row["total"]
        )
    return family
