"""Sending "wake run N" through Django-Q2. A message is only a hint: lost, doubled or late ones do no harm."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

import structlog
from django.db import Error, transaction
from django.db.models import QuerySet
from django.utils import timezone

log = structlog.get_logger(__name__)

WAKE = "memories.pipeline.tasks.wake"
STOP_JOBS = "memories.pipeline.tasks.stop_jobs"


@cache
def broker() -> Any:
    """One broker per process: Django-Q2 opens a new one for every task otherwise (docs/decisions/)."""
    from django_q.brokers import get_broker

    return get_broker()


def wake_on_commit(run_id: int, *, at: datetime | None = None) -> None:
    """After the surrounding transaction: nobody is woken for a row that is not there yet."""
    transaction.on_commit(lambda: wake(run_id, at=at))


def send_on_commit(function: str, *args: Any) -> None:
    """After the surrounding transaction, to a worker. A queue out of reach is logged."""

    def now() -> None:
        try:
            with transaction.atomic():
                send(function, *args)
        except Error as error:
            log.warning("task_not_sent", function=function, error=type(error).__name__)

    transaction.on_commit(now)


def wake(run_id: int, *, at: datetime | None = None) -> None:
    """Put a wake-up into the queue, visible from ``at`` on. A queue out of reach is logged: the reconciler re-sends."""
    try:
        with transaction.atomic():
            send(WAKE, run_id, at=at)
    except Error as error:
        log.warning("wake_not_sent", run_id=run_id, error=type(error).__name__)


def send(function: str, *args: Any, at: datetime | None = None) -> None:
    if at is None or at <= timezone.now():
        from django_q.tasks import async_task

        async_task(function, *args, broker=broker(), ack_failure=True)
        return
    # The ORM broker hides a row until its lock time has passed (it is how it hides claimed ones): a timer with the
    # queue's own granularity, where Django-Q2's schedules are looked at every 30 s only.
    from django_q.humanhash import uuid
    from django_q.models import OrmQ
    from django_q.signing import SignedPackage

    name, identity = uuid()
    task = {
        "id": identity, "name": name, "func": function, "args": args, "kwargs": {}, "started": timezone.now(),
        "ack_failure": True,
    }  # fmt: skip
    OrmQ.objects.create(key=broker().list_key, payload=SignedPackage.dumps(task), lock=at)


def messages() -> QuerySet[Any]:
    """The rows of the queue; ``lock`` is when a message is due, or until when a worker has it."""
    from django_q.models import OrmQ

    found: QuerySet[Any] = OrmQ.objects.filter(key=broker().list_key)
    return found


def behind(since: datetime) -> bool:
    """Whether messages that were due at ``since`` have not been handed to a worker yet."""
    return bool(messages().filter(lock__lt=since).exists())
