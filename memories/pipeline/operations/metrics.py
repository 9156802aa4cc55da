"""Figures of the pipeline, read from the rows when they are scraped.

Workers are processes of their own and come and go: counters in their memory would be lost or need a shared folder. The
rows are right whoever answers the scrape. Rows that will not change any more are added to ``FigureTotal`` by a
scheduled job (``fold``) and marked as ``counted``; what is erased before that is added with the erasure. So no counter
ever falls (Prometheus would take that for a restart, and count everything again), and a scrape reads only the totals,
as many as there are labels, and the rows that are not counted yet: work that has not ended, and what ended since the
last job. It does so at most every ``FRESH`` seconds, and reads no more than the oldest ``MOST`` of such rows: where
there are more, ``memory_pipeline_figures_behind`` says so, and what ended beyond them is told when it is in the totals.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from django.db import DatabaseError, Error, transaction
from django.db.models import Case, Count, F, Q, QuerySet, Sum, Value, When
from django.utils import timezone
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

import memories.pipeline.counters  # noqa: F401  # declared in every process, so that it is told before it counts
from memories.mirror import metrics
from memories.pipeline import queries
from memories.pipeline.engine import queue
from memories.pipeline.models import (
    FigureTotal,
    PostProcessingRun,
    RunEvent,
    RunStep,
    StepAttempt,
    VendorBreaker,
    VendorCall,
)
from memories.pipeline.operations import months
from memories.pipeline.states import GOOD, Kind, State
from memories.pipeline.vendor_calls import circuit_breaker
from omi.core.errors import Outcome
from omi.shared_metrics.collectors import register_once
from transcription.hosts import metrics as host_metrics
from transcription.metrics import LIVE_DOLLARS

FRESH: Final = 5.0
MOST: Final = 10_000
"""Rows of one kind that a scrape reads or counts, whatever there is."""
BUCKETS: Final = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
LATENCIES: Final = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

COUNTERS: Final = {
    "memory_postprocessing_errors": ("Attempts that failed", ["step", "vendor", "outcome"]),
    "memory_postprocessing_accepted": ("Runs that were asked for", ["kind"]),
    "memory_postprocessing_runs": ("Runs that ended", ["kind", "outcome"]),
    "memory_postprocessing_leases_lost": ("Runs reclaimed from a worker that showed no sign of life", []),
    "memory_vendor_calls": ("Calls in the ledger", ["vendor", "operation", "outcome"]),
    "memory_vendor_audio_seconds": ("Seconds of recordings that vendors were paid for", ["vendor"]),
    "memory_vendor_cost_dollars": ("Calls, and audio sent live, estimated at list prices", ["vendor"]),
    "memory_vendor_calls_doubled": ("Paid calls that were made again", []),
}  # fmt: skip
LONGEST_CALL: Final = timedelta(hours=20)
"""Three times the longest recording, and a margin: a call without an end after this has none."""

PIECE: Final = 1000
"""Runs, and calls, that one transaction of ``fold`` moves."""

PIECES: Final = 250
"""Transactions of one pass, every five minutes."""

MOVES: Final = "moves"
"""The row of ``FigureTotal`` that counts how often rows were moved into the others."""

READ_TRIES: Final = 5

RECLAIMED: Final = ("reclaimed", "taken_over")
"""Events of runs that lost their worker, by their name now and before December 2026."""

DURATION: Final = "memory_postprocessing_duration_seconds"
LATENCY: Final = "memory_vendor_latency_seconds"

Figures = defaultdict[tuple[str, ...], float]
"""Name and values of the labels to a number; of a duration also which number it is (a limit, ``sum``, ``count``)."""


class PipelineCollector(Collector):
    """Gives Prometheus the pipeline's figures from the rows, which it reads again after ``FRESH`` seconds."""

    def __init__(self) -> None:
        self._until = 0.0
        self._families: list[Any] = []
        self._told: Figures = defaultdict(float)

    def describe(self) -> Iterable[Any]:
        return []  # nothing is asked of the database while the process starts

    def collect(self) -> Iterable[Any]:
        if time.monotonic() > self._until:
            try:
                self._families = list(_families(self._figures()))
            except Error:
                self._families = [GaugeMetricFamily("memory_pipeline_metrics_up", "1 if the rows could be read", 0)]
            self._until = time.monotonic() + FRESH
        return self._families

    def _figures(self) -> Figures:
        """Never less than before while not all rows are read: a row that is committed late, with an id before theirs,
        takes another one's place among the oldest."""
        found = _all_figures()
        if any(behind().values()):
            for key, value in self._told.items():
                found[key] = max(found[key], value)
        self._told = found.copy()
        return found


def register() -> None:
    """Register the pipeline's figures at Prometheus; once per process, when the app is ready."""
    register_once(PipelineCollector)


def figures() -> Figures:
    """What the rows add up to that are not counted yet, of each kind the oldest ``MOST``."""
    found: Figures = defaultdict(float)
    # By their keys: SQLite takes an index by which all rows are in the order of the groups for the better one.
    open_runs = _not_counted(PostProcessingRun).order_by().values("pk")
    _add_runs(found, PostProcessingRun.objects.filter(pk__in=open_runs))
    # What is out now will have an outcome: counted as unknown it would be taken away again.
    open_calls = _not_counted(VendorCall).order_by().values("pk")
    _add_calls(found, VendorCall.objects.filter(pk__in=open_calls), ~_final_call())
    return found


def _not_counted(model: type[PostProcessingRun] | type[VendorCall]) -> QuerySet[Any]:
    """The oldest ``MOST`` rows that stand in no total. The oldest, because they stay among the oldest until they are
    counted, so that no figure falls; bounded by a key, because a subquery with a limit would be sorted at each use."""
    rows: QuerySet[Any] = model.objects.filter(counted=False)
    beyond = rows.order_by("id").values_list("pk", flat=True)[MOST : MOST + 1]
    return rows.filter(pk__lt=beyond[0]) if beyond else rows


def behind() -> dict[str, bool]:
    """Return, of runs and of calls, whether more than ``MOST`` stand in no total."""
    rows: dict[str, QuerySet[Any]] = {"runs": PostProcessingRun.objects.all(), "calls": VendorCall.objects.all()}
    late = {name: of.filter(counted=False).order_by("id").values_list("pk") for name, of in rows.items()}
    return {name: bool(of[MOST : MOST + 1]) for name, of in late.items()}


def _final_call() -> Q:
    return ~Q(outcome="") | Q(started_at__lte=timezone.now() - LONGEST_CALL)


def _add_runs(found: Figures, runs: QuerySet[Any]) -> None:
    """``runs`` that have ended, and the attempts of all. Has no slice."""
    keys = runs.order_by().values("pk")
    steps = RunStep.objects.filter(run__in=keys).order_by()
    attempts: QuerySet[Any] = StepAttempt.objects.filter(step__in=steps.values("pk"))
    by_step = attempts.values("step__name", "outcome").order_by()
    for row in by_step.annotate(count=Count("id"), total=Sum(F("seconds")), **_below("seconds", BUCKETS)):
        _observe(found, (DURATION, row["step__name"], row["outcome"]), row, BUCKETS)
    failed = attempts.exclude(outcome__in=GOOD).values("step__name", "vendor", "outcome").order_by()
    for row in failed.annotate(count=Count("id")):
        name = "memory_postprocessing_errors"
        found[name, row["step__name"], row["vendor"] or "-", row["outcome"]] += row["count"]
    if lost := RunEvent.objects.filter(run__in=keys, type__in=RECLAIMED).order_by().count():
        found["memory_postprocessing_leases_lost",] += lost
    # Only what has ended has an outcome. Asked for the state, SQLite would go through everything that has ended.
    for row in runs.values("kind", "outcome").order_by().annotate(count=Count("id")):
        found["memory_postprocessing_accepted", row["kind"]] += row["count"]
        if row["outcome"]:
            found["memory_postprocessing_runs", row["kind"], row["outcome"]] += row["count"]


def _below(field: str, limits: tuple[float, ...]) -> dict[str, Any]:
    """Annotations ``b0``, ``b1`` ...: how many rows of a group are within each limit."""
    return {
        f"b{index}": Sum(Case(When(**{f"{field}__lte": limit}, then=Value(1)), default=Value(0)))
        for index, limit in enumerate(limits)
    }


def _observe(found: Figures, labels: tuple[str, ...], row: dict[str, Any], limits: tuple[float, ...]) -> None:
    """Add one group of rows (``total``, ``count``, ``_below``) to a histogram."""
    found[*labels, "sum"] += row["total"]
    found[*labels, "count"] += row["count"]
    for index, limit in enumerate(limits):
        found[*labels, str(float(limit))] += row[f"b{index}"]


def _add_calls(found: Figures, calls: QuerySet[Any], out: Q) -> None:
    by_vendor = calls.values("vendor", "operation", "outcome").order_by()
    for row in by_vendor.annotate(
        count=Count("id", filter=~out),
        price=Sum("cost"),
        audio=Sum("audio_seconds"),
        twice=Count("id", filter=Q(duplicate=True)),
    ):
        if row["count"]:
            found["memory_vendor_calls", row["vendor"], row["operation"], row["outcome"] or "unknown"] += row["count"]
        found["memory_vendor_cost_dollars", row["vendor"]] += row["price"] or 0.0
        if row["audio"]:
            found["memory_vendor_audio_seconds", row["vendor"]] += row["audio"]
        found["memory_vendor_calls_doubled",] += row["twice"]
    answered = calls.exclude(latency=None).values("vendor", "operation").order_by()
    for row in answered.annotate(count=Count("id"), total=Sum("latency"), **_below("latency", LATENCIES)):
        _observe(found, (LATENCY, row["vendor"], row["operation"]), row, LATENCIES)


def of_user(runs: QuerySet[Any], uid: str) -> Q:
    """Return the condition of the ledger: the calls of ``runs``, and those of ``uid`` that belong to no run."""
    return Q(run__in=runs) | Q(run=None, uid=uid) if uid else Q(run__in=runs)


def fold() -> int:
    """Add to the totals the runs and calls that will not change any more, oldest first; how many rows.

    In pieces of a transaction each: others write in between. Several processes may do it at once.
    """
    done = 0
    for _ in range(PIECES):
        with transaction.atomic():
            _hold_totals()
            ended = PostProcessingRun.objects.filter(counted=False).exclude(outcome="")
            runs = list(ended.order_by("id").values_list("pk", flat=True)[:PIECE])
            final = VendorCall.objects.filter(_final_call(), counted=False)
            calls = list(final.order_by("id").values_list("pk", flat=True)[:PIECE])
            found: Figures = defaultdict(float)
            _add_runs(found, PostProcessingRun.objects.filter(pk__in=runs))
            _add_calls(found, VendorCall.objects.filter(pk__in=calls), Q(pk=None))
            _add(found)
            months.add(VendorCall.objects.filter(pk__in=calls))
            PostProcessingRun.objects.filter(pk__in=runs).update(counted=True)
            VendorCall.objects.filter(pk__in=calls).update(counted=True)
        done += len(runs) + len(calls)
        if max(len(runs), len(calls)) < PIECE:
            break
    return done


def keep(runs: QuerySet[Any], uid: str = "") -> None:
    """Add to the totals what is about to be deleted: ``runs`` (without a slice), and the other calls of ``uid``.

    Call it inside the transaction that deletes them.
    """
    _hold_totals()
    found: Figures = defaultdict(float)
    _add_runs(found, runs.filter(counted=False))
    calls = VendorCall.objects.filter(of_user(runs, uid), counted=False)
    _add_calls(found, calls, Q(pk=None))
    _add(found)
    months.add(calls)


def keep_calls(calls: Q) -> None:
    """The same for calls that belong to no run."""
    _hold_totals()
    found: Figures = defaultdict(float)
    going = VendorCall.objects.filter(calls, run=None, counted=False)
    _add_calls(found, going, Q(pk=None))
    _add(found)
    months.add(going)


def _hold_totals() -> None:
    """One at a time moves rows into the totals, until its transaction ends; who reads both sees that it happened."""
    if not FigureTotal.objects.filter(key=MOVES).update(value=F("value") + 1):
        FigureTotal.objects.get_or_create(key=MOVES)
        FigureTotal.objects.filter(key=MOVES).update(value=F("value") + 1)


def _add(found: Figures) -> None:
    for key, value in found.items():
        row, made = FigureTotal.objects.get_or_create(key=json.dumps(key), defaults={"value": value})
        if not made:
            FigureTotal.objects.filter(pk=row.pk).update(value=F("value") + value)


def _all_figures() -> Figures:
    """Totals and what is not counted yet. Read again where rows were moved in between: they would be missing, or there
    twice."""
    moves = FigureTotal.objects.filter(key=MOVES).values_list("value", flat=True)
    for _ in range(READ_TRIES):
        before = moves.first()
        found = figures()
        totals = dict(FigureTotal.objects.exclude(key=MOVES).values_list("key", "value"))
        if moves.first() == before:
            break
    else:
        raise DatabaseError("the totals were never at rest")
    for key, value in totals.items():
        found[tuple(json.loads(key))] += value
    return found


def _families(found: Figures) -> Iterable[Any]:
    yield GaugeMetricFamily("memory_pipeline_metrics_up", "1 if the rows could be read", 1)
    late = GaugeMetricFamily(
        "memory_pipeline_figures_behind", "1 while counters leave out what ended lately: too many rows are in no total",
        labels=["rows"],
    )  # fmt: skip
    for kind, more in behind().items():
        late.add_metric([kind], int(more))
    yield late
    for (vendor,), dollars in LIVE_DOLLARS.totals().items():
        found["memory_vendor_cost_dollars", vendor] += dollars
    yield _histogram(found, DURATION, "Time of an attempt of a step", ["step", "outcome"], BUCKETS)
    yield _histogram(found, LATENCY, "Time until a vendor answered a call", ["vendor", "operation"], LATENCIES)
    for name, (said, labels) in COUNTERS.items():
        family = CounterMetricFamily(name, said, labels=labels)
        rows = {key: value for key, value in found.items() if key[0] == name}
        for key, value in {**_at_nought(name), **rows}.items():
            family.add_metric(key[1:], value)
        yield family
    states = GaugeMetricFamily(
        "memory_postprocessing_unfinished", "Runs that have not ended, 10,000 at most of each state", labels=["state"]
    )
    for state in (State.QUEUED, State.RUNNING, State.WAITING):
        states.add_metric([state.value], queries.unfinished(state).order_by()[:MOST].count())
    yield states
    yield GaugeMetricFamily(
        "memory_postprocessing_oldest_seconds", "Age of the oldest unfinished run", queries.oldest_age()
    )
    yield GaugeMetricFamily("memory_postprocessing_dead_letters", "Given up, of the newest 10,000, and not retried",
                            queries.count_dead_letters(MOST))  # fmt: skip
    breakers = GaugeMetricFamily(
        "memory_vendor_breaker_open", "1 while calls to a vendor are held back", labels=["vendor", "reason"]
    )
    for breaker in VendorBreaker.objects.all():
        breakers.add_metric([breaker.vendor, breaker.reason or "-"], int(circuit_breaker.holds_back(breaker)))
    yield breakers
    yield from _queue()
    yield from metrics.families()
    yield from host_metrics.families()


def _at_nought(name: str) -> dict[tuple[str, ...], float]:
    """Series that are told before they count anything: Prometheus sees no increase in one that begins at 1."""
    if name == "memory_postprocessing_accepted":
        return {(name, kind): 0.0 for kind in Kind.values}
    if name == "memory_postprocessing_runs":
        return {(name, kind, outcome): 0.0 for kind in Kind.values for outcome in Outcome}
    return {} if COUNTERS[name][1] else {(name,): 0.0}


def _queue() -> Iterable[Any]:
    """What waits for a worker: the queue holds as many messages as there are unfinished runs, about."""
    due = queue.messages().filter(lock__lt=timezone.now()).order_by()[:MOST].count()
    yield GaugeMetricFamily("memory_queue_due", "Messages of the queue that no worker has taken, 10,000 at most", due)
    yield GaugeMetricFamily(
        "memory_queue_oldest_seconds", "How long the oldest of them has been due", queue.oldest_due_seconds()
    )


def _histogram(
    found: Figures, name: str, sentence: str, labels: list[str], limits: tuple[float, ...]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, sentence, labels=labels)
    for values in sorted({key[1:-1] for key in found if key[0] == name}):
        key, count = (name, *values), found[name, *values, "count"]
        bounds = [str(float(limit)) for limit in limits]
        buckets: list[Any] = [(bound, found[*key, bound]) for bound in bounds]
        family.add_metric(values, [*buckets, ("+Inf", count)], sum_value=found[*key, "sum"])
    return family
