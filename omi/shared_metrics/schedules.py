"""Schedules of Django-Q2: created once, and when the work of each last succeeded.

Django-Q2 sends a schedule's task again whatever became of the last one, and a worker that fails at it lives. So the
last success is kept as a row, which begins when the schedule does: one whose task never succeeds has a figure as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

import structlog
from django.db import DEFAULT_DB_ALIAS, Error, connection
from django_q.models import Schedule
from prometheus_client.core import GaugeMetricFamily

from omi.shared_metrics.collectors import register_rows
from omi.shared_metrics.models import SharedTotal

log = structlog.get_logger(__name__)

LAST_SUCCESS: Final = "omi_schedule_last_success_timestamp_seconds"
PERIOD: Final = "omi_schedule_period_seconds"

SECONDS: Final = {"H": 3600, "D": 24 * 3600, "W": 7 * 24 * 3600}
"""Periods of Django-Q2's types that are not in minutes. An operator may give a schedule another (a cron line): then
nobody can say when it is overdue, and nothing is told of it."""

_of: dict[str, str] = {}
"""Every value that the label may have to the name of its schedule: the schedules of the code, and parts of them."""


class Schedules:
    """The schedules of one package. ``functions``: name to function (dotted) and minutes. ``parts``: of a task that
    goes on when a part of its work fails, the names of those parts; it says ``succeeded`` of each."""

    def __init__(
        self, functions: Mapping[str, tuple[str, int]], parts: Mapping[str, Iterable[str]] | None = None
    ) -> None:
        self.functions = dict(functions)
        _of.update({name: name for name in functions})
        _of.update({part_of(name, part): name for name, of in (parts or {}).items() for part in of})

    def ensure(self, *, using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
        """Create what is not there (after ``migrate``). What an operator changed about a schedule stays."""
        needed = {Schedule._meta.db_table, SharedTotal._meta.db_table}
        if using != DEFAULT_DB_ALIAS or not needed <= set(connection.introspection.table_names()):
            return  # another database, or only some apps were migrated
        for name, (function, minutes) in self.functions.items():
            _, new = Schedule.objects.get_or_create(
                name=name, defaults={"func": function, "schedule_type": Schedule.MINUTES, "minutes": minutes}
            )
            for label in [label for label, of in _of.items() if of == name]:
                row, begun = SharedTotal.objects.get_or_create(
                    name=LAST_SUCCESS, labels=_key(label), defaults={"value": time.time()}
                )
                if new and not begun:  # it was deleted for a while: its time begins again
                    SharedTotal.objects.filter(pk=row.pk).update(value=time.time())


def part_of(name: str, part: str) -> str:
    """How a part of a schedule's work is called."""
    return f"{name}/{part}"


def succeeded(label: str) -> None:
    """Note that a schedule's work, or a part of it, was done just now."""
    try:
        SharedTotal.objects.filter(name=LAST_SUCCESS, labels=_key(label)).update(value=time.time())
    except Error as error:
        log.warning("shared_metrics_unavailable", error=type(error).__name__)


def after_task(task: Mapping[str, Any], **_: Any) -> None:
    """After each task of a worker: Django-Q2 gives a schedule's task the schedule's name as its group."""
    name = task.get("group")
    if task.get("success") and name in _of:
        succeeded(name)


def _key(label: str) -> str:
    return json.dumps([label], ensure_ascii=False)


def families() -> Iterable[Any]:
    """Two queries, as many rows as there are schedules. One that was deleted or has no turns left is not told."""
    last = GaugeMetricFamily(LAST_SUCCESS, "When a schedule's work last succeeded.", labels=["schedule"])
    period = GaugeMetricFamily(PERIOD, "Seconds between two turns of a schedule.", labels=["schedule"])
    own = Schedule.objects.filter(name__in=set(_of.values())).exclude(repeats=0)
    seconds = {
        name: 60 * (minutes or 0) if kind == Schedule.MINUTES else SECONDS.get(kind, 0)
        for name, kind, minutes in own.values_list("name", "schedule_type", "minutes")
    }
    succeeded_at = dict(SharedTotal.objects.filter(name=LAST_SUCCESS).values_list("labels", "value"))
    for label, name in sorted(_of.items()):
        if seconds.get(name) and _key(label) in succeeded_at:
            last.add_metric([label], succeeded_at[_key(label)])
            period.add_metric([label], seconds[name])
    yield from (last, period)


def register() -> None:
    """Register the figures of schedules at Prometheus, when the app is ready."""
    register_rows(families)
