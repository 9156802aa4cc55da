"""Django-Q2 schedules of the pipeline: the safety net under ``serve``'s own loop."""

from __future__ import annotations

from typing import Any

RECONCILE = "memories.pipeline.tasks.reconcile"


def ensure(**_: Any) -> None:
    """Create the schedule if it is not there (after ``migrate``, and when ``serve`` starts)."""
    from django_q.models import Schedule

    Schedule.objects.get_or_create(
        name="reconcile runs", defaults={"func": RECONCILE, "schedule_type": Schedule.MINUTES, "minutes": 1}
    )
