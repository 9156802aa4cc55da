"""What the console has done by the worker now and then."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, connection

from memories.console import failures, figures, replay

MINUTES = {
    "console: wake replays": ("replays", 1),
    "console: count failures that were missed": ("missed_failures", 15),
    "console: totals of the day": ("totals", 10),
}
"""Name to function of this module and minutes."""


def replays() -> int:
    """Send replays whose message was lost to a worker."""
    return replay.wake_all()


def missed_failures() -> int:
    """Count failed runs that are in no group yet, and delete old counters."""
    return failures.catch_up() + failures.prune()


def totals() -> bool:
    """Write down the totals of all counters when a day begins."""
    return figures.snapshot()


def ensure(*, using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """After ``migrate``: the schedules are there once."""
    from django_q.models import Schedule

    if using != DEFAULT_DB_ALIAS or Schedule._meta.db_table not in connection.introspection.table_names():
        return  # another database, or only some apps were migrated
    for name, (function, minutes) in MINUTES.items():
        Schedule.objects.get_or_create(
            name=name,
            defaults={
                "func": f"{__name__}.{function}",
                "schedule_type": Schedule.MINUTES,
                "minutes": minutes,
            },
        )
