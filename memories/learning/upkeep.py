"""What Django-Q2 calls for learning."""

from __future__ import annotations

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection

from memories.learning import running


def learn() -> int:
    """One turn of all learners, or with ``OMI_LEARNING`` off the undoing of what was learned; how much was changed."""
    if not settings.OMI_LEARNING:
        return running.since_switched_off()
    return sum(outcome.done in ("applied", "rolled back") for outcome in running.learn())


def ensure_schedules(*, using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """After ``migrate``: the schedule is there once."""
    from django_q.models import Schedule

    if using != DEFAULT_DB_ALIAS or Schedule._meta.db_table not in connection.introspection.table_names():
        return
    Schedule.objects.get_or_create(
        name="learn", defaults={"func": "memories.learning.upkeep.learn", "schedule_type": Schedule.DAILY}
    )
