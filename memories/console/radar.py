"""What is stuck: runs that wait in the queue, are at work, frozen or lost, the oldest first, by step and worker.

Every query is bounded: the oldest few of each kind, and counts that stop at ``MOST``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from memories.pipeline.engine import lease, queue
from memories.pipeline.models import ClusterBeat, PostProcessingRun
from memories.pipeline.states import State

SHOWN: Final = 10
MOST: Final = 10_000
QUEUED_LONG: Final = timedelta(minutes=5)
"""A run that waits for a worker for longer is stuck, not queued."""
OVERDUE: Final = timedelta(minutes=2)
"""A suspended run whose time came so long ago was lost on its way to a worker."""
FROZEN_AFTER: Final = 0.5
"""Share of the lease without a sign of life after which a run counts as frozen."""

KINDS: Final = {
    "lost": "Its worker is gone: the lease ran out, or its time came and no worker took it.",
    "frozen": "A worker has it and has shown no sign of life for half of the lease.",
    "waiting": "It waits in the queue for a worker for longer than five minutes.",
}


@dataclass(frozen=True, slots=True)
class Stuck:
    """One run that does not move. ``since``: from when on; ``heartbeat``: the last sign of life of its worker."""

    run: PostProcessingRun
    kind: str
    since: datetime
    heartbeat: datetime | None


@dataclass(slots=True)
class Radar:
    """The runs that are stuck, and the work that goes on. ``counts``: runs of each kind of being stuck (at most
    ``MOST``). ``by_step`` and ``by_worker``: runs at work.

    ``queue_depth``, ``queue_oldest``: messages that are due, and since when the oldest is."""

    stuck: list[Stuck] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    by_step: list[dict[str, Any]] = field(default_factory=list)
    by_worker: list[dict[str, Any]] = field(default_factory=list)
    clusters: list[ClusterBeat] = field(default_factory=list)
    queue_depth: int = 0
    queue_oldest: datetime | None = None

    @property
    def total(self) -> int:
        return sum(self.counts.values())


def conditions(now: datetime) -> dict[str, Q]:
    """Each kind of being stuck as a condition over runs; none includes another."""
    silent = now - lease.lease_time() * FROZEN_AFTER
    return {
        "lost": lease.lapsed(now) | Q(state=State.WAITING, due_at__lt=now - OVERDUE),
        "frozen": Q(state=State.RUNNING, heartbeat_at__lt=silent, lease_until__gte=now),
        "waiting": Q(state=State.QUEUED, blocked=False, created_at__lt=now - QUEUED_LONG),
    }


def is_frozen(run: PostProcessingRun, now: datetime | None = None) -> bool:
    """Whether a worker has the run and has shown no sign of life for half of the lease."""
    silent = (now or timezone.now()) - lease.lease_time() * FROZEN_AFTER
    return run.state == State.RUNNING and run.heartbeat_at is not None and run.heartbeat_at < silent


def look(now: datetime | None = None) -> Radar:
    """A bounded number of bounded queries."""
    now = now or timezone.now()
    found = Radar()
    for kind, condition in conditions(now).items():
        runs = PostProcessingRun.objects.filter(condition)
        found.counts[kind] = _bounded_count(runs)
        if found.counts[kind]:
            oldest = runs.order_by("heartbeat_at", "created_at") if kind != "waiting" else runs.order_by("created_at")
            found.stuck += [Stuck(run, kind, _since(run, kind), run.heartbeat_at) for run in oldest[:SHOWN]]
    found.stuck.sort(key=lambda item: item.since)
    at_work = PostProcessingRun.objects.filter(state=State.RUNNING).order_by()
    found.by_step = _rows(
        at_work.values("current_step").annotate(runs=Count("id"), oldest=Min("step_started_at")).order_by("oldest")[:20]
    )
    found.by_worker = _rows(
        at_work.values("lease_owner").annotate(runs=Count("id"), seen=Max("heartbeat_at")).order_by("seen")[:20]
    )
    found.clusters = list(ClusterBeat.objects.order_by("-at")[:10])
    due = queue.messages().filter(lock__lt=now)
    found.queue_depth = _bounded_count(due)
    found.queue_oldest = due.order_by("lock").values_list("lock", flat=True).first()
    return found


def _since(run: PostProcessingRun, kind: str) -> datetime:
    if kind == "waiting":
        return run.created_at
    return run.due_at or run.heartbeat_at or run.step_started_at or run.created_at


def _rows(values: Iterable[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in values]


def _bounded_count(rows: Any) -> int:
    return int(rows.order_by().values("pk")[:MOST].count())
