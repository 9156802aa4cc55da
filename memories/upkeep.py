"""What Django-Q2 calls for the stores, every few minutes: unfinished erasures, and a sample of the mirror."""

from __future__ import annotations

import structlog
from django.db import DEFAULT_DB_ALIAS, connection

log = structlog.get_logger(__name__)
SAMPLE = 50


def erasures() -> int:
    """Take up erasures that did not reach every store, and memories whose time to be restored is over."""
    from memories import erasure

    return erasure.finish_pending()


def mirror_sample() -> int:
    from memories import mirror_check

    return len(mirror_check.check_sample(SAMPLE))


def ensure_schedules(*, using: str = DEFAULT_DB_ALIAS, **_: object) -> None:
    """After ``migrate``: the schedules are there once."""
    from django_q.models import Schedule

    if using != DEFAULT_DB_ALIAS or Schedule._meta.db_table not in connection.introspection.table_names():
        return  # another database, or only some apps were migrated
    for name, task, minutes in (
        ("finish erasures", "erasures", 5),
        ("compare a sample of the mirror", "mirror_sample", 15),
    ):
        Schedule.objects.get_or_create(
            name=name,
            defaults={"func": f"memories.upkeep.{task}", "schedule_type": Schedule.MINUTES, "minutes": minutes},
        )
