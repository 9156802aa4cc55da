"""Counting in memory, handing over to rows, and showing the rows to Prometheus.

``inc`` touches memory only, so it may stand anywhere. ``flush`` writes: after each task of a worker, before each answer
to a scrape, and at the end of a process. What a killed process had counted since is lost; figures that must not be
(runs, calls, seconds of audio) are read from the rows of the work itself.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from multiprocessing.util import Finalize
from typing import Any, Final

import structlog
from django.apps import apps
from django.db import Error, transaction
from django.db.models import F
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from omi.shared_metrics.collectors import register_once

log = structlog.get_logger(__name__)

LAST_TASK: Final = "omi_worker_last_task_timestamp_seconds"
LAST_TASK_EVERY: Final = 5.0
"""Seconds between two notes of a worker that it has finished a task."""

MOST_SERIES: Final = 200
"""Label combinations of one counter. Labels come from lists in the code; this bounds a mistake."""

LONGEST_LABEL: Final = 40
"""Characters of a label that are kept: a row holds the JSON of three."""

OTHER: Final = "other"

_lock = threading.Lock()
_pending: Counter[tuple[str, tuple[str, ...]]] = Counter()
_declared: dict[str, SharedCounter] = {}
_noted_at = 0.0


class SharedCounter:
    """A counter of all processes. ``name`` without ``_total``, which Prometheus adds.

    ``begin``: labels of series that are told before they count anything: Prometheus sees no increase in one that begins
    at 1. A counter without labels always is.
    """

    def __init__(
        self, name: str, documentation: str, labelnames: Sequence[str] = (), *, begin: Iterable[tuple[str, ...]] = ()
    ) -> None:
        self.name, self.documentation, self.labelnames = name, documentation, tuple(labelnames)
        self.begin = tuple(begin) if self.labelnames else ((),)
        self._seen: set[tuple[str, ...]] = set()
        _declared[name] = self

    def inc(self, *labels: str, amount: float = 1.0) -> None:
        """Add ``amount`` to the series with these values of the labels."""
        if len(labels) != len(self.labelnames):
            raise ValueError(f"{self.name} has the labels {self.labelnames}")
        labels = tuple(label[:LONGEST_LABEL] for label in labels)
        with _lock:
            if labels not in self._seen:
                if len(self._seen) >= MOST_SERIES:
                    labels = tuple(OTHER for _ in labels)
                self._seen.add(labels)
            _pending[self.name, labels] += amount  # type: ignore[assignment]  # seconds are no integers

    def totals(self) -> dict[tuple[str, ...], float]:
        """What all processes have handed over, by labels. One query; raises what the database does."""
        rows = _rows().filter(name=self.name).values_list("labels", "value")
        return {tuple(json.loads(labels)): value for labels, value in rows}

    def pending(self, *labels: str) -> float:
        """Return what this process has counted and not handed over yet."""
        with _lock:
            return float(_pending[self.name, labels])


def flush() -> None:
    """Add what this process counted to the rows. While the database is away it is kept for the next time."""
    with _lock:
        counted = {key: value for key, value in _pending.items() if value}
        _pending.clear()
    if not counted:
        return
    try:
        with transaction.atomic():
            for (name, labels), value in sorted(counted.items()):
                _add(name, labels, value)
    except Error as error:
        log.warning("shared_metrics_unavailable", error=type(error).__name__)
        with _lock:
            _pending.update(counted)


def after_task(**_: Any) -> None:
    """Hand a worker's counts over after each task, and note that it finished something."""
    global _noted_at
    if not _noted_at:
        # A worker that ends in order hands over the rest; Django-Q2's do not run ``atexit``.
        Finalize(None, flush, exitpriority=10)
    flush()
    if _noted_at and time.monotonic() - _noted_at < LAST_TASK_EVERY:
        return
    _noted_at = time.monotonic()
    rows = _rows()
    now = time.time()
    try:
        if not rows.filter(name=LAST_TASK, labels="[]").update(value=now):
            rows.get_or_create(name=LAST_TASK, labels="[]", defaults={"value": now})
    except Error as error:
        log.warning("shared_metrics_unavailable", error=type(error).__name__)


def _rows() -> Any:
    """The table. Looked up, not imported: counters are declared while the apps are still loading."""
    return apps.get_model("shared_metrics", "SharedTotal").objects


def _add(name: str, labels: tuple[str, ...], value: float) -> None:
    rows, key = _rows(), json.dumps(labels, ensure_ascii=False)
    if not rows.filter(name=name, labels=key).update(value=F("value") + value):
        rows.get_or_create(name=name, labels=key)
        rows.filter(name=name, labels=key).update(value=F("value") + value)


class SharedCollector(Collector):
    """Shows every declared counter: one query, as many rows as there are series."""

    def describe(self) -> Iterable[Any]:
        return []  # nothing is asked of the database while the process starts

    def collect(self) -> Iterable[Any]:
        flush()
        try:
            found = list(_rows().values_list("name", "labels", "value"))
        except Error:
            return
        for name, counter in sorted(_declared.items()):
            family = CounterMetricFamily(name, counter.documentation, labels=counter.labelnames)
            series = dict.fromkeys(counter.begin, 0.0)
            series |= {tuple(json.loads(labels)): value for own, labels, value in found if own == name}
            for labels, value in series.items():
                family.add_metric(labels, value)
            yield family
        last = GaugeMetricFamily(LAST_TASK, "When a worker of any host last finished a task, in seconds since 1970.")
        for value in [value for name, _, value in found if name == LAST_TASK]:
            last.add_metric([], value)
        yield last


def register() -> None:
    """Register the collector, once per process; a forked process begins with nothing counted."""
    if register_once(SharedCollector):
        os.register_at_fork(after_in_child=_pending.clear)
