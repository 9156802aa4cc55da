"""Django-Q2 schedules of the pipeline: the safety net under ``serve``'s own loop."""

from __future__ import annotations

from typing import Any

SCHEDULES = {
    "reconcile runs": ("memories.pipeline.tasks.reconcile", 1),
    "housekeeping": ("memories.pipeline.tasks.housekeeping", 5),
}
"""Name to function and minutes."""


def ensure(**_: Any) -> None:
    """Create the schedules that are not there (after ``migrate``, and when ``serve`` starts)."""
    from django_q.models import Schedule

    for name, (function, minutes) in SCHEDULES.items():
        Schedule.objects.get_or_create(
            name=name, defaults={"func": function, "schedule_type": Schedule.MINUTES, "minutes": minutes}
        )
