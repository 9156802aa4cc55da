"""Sending "work on run N" through Django-Q2, and which run of a memory may be worked on.

A message is only a hint: lost, repeated or late ones do no harm.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import Error, transaction
from django.db.models import Q, QuerySet

from memories.pipeline.engine import transitions
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from omi.core import clock

log = structlog.get_logger(__name__)

WAKE = "memories.pipeline.tasks.wake"
STOP_JOBS = "memories.pipeline.tasks.stop_jobs"
AGAIN: Final = timedelta(minutes=10)
"""Until work is tried again for which a store was away."""


@cache
def broker() -> Any:
    """One broker per process: Django-Q2 opens a new one for every task otherwise (docs/decisions/)."""
    from django_q.brokers import get_broker

    return get_broker()


def wake_on_commit(run_id: int, *, at: datetime | None = None) -> None:
    """Send the message after the surrounding transaction: a worker must find the row as it was committed."""
    transaction.on_commit(lambda: wake(run_id, at=at))


def send_on_commit(function: str, *args: Any) -> None:
    """Send a task to a worker after the surrounding transaction. A queue out of reach is logged."""

    def now() -> None:
        try:
            with transaction.atomic():
                send(function, *args)
        except Error as error:
            log.warning("task_not_sent", function=function, error=type(error).__name__)

    transaction.on_commit(now)


def wake(run_id: int, *, at: datetime | None = None) -> None:
    """Put a message for the run into the queue, visible from ``at`` on. A queue out of reach is logged: ``recovery``
    sends the message again."""
    try:
        with transaction.atomic():
            send(WAKE, run_id, at=at)
    except Error as error:
        log.warning("wake_not_sent", run_id=run_id, error=type(error).__name__)


def send(function: str, *args: Any, at: datetime | None = None) -> None:
    """Put a call of ``function`` (a dotted name) into Django-Q2's queue, due now or at ``at``."""
    if at is None or at <= clock.now():
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
        "id": identity, "name": name, "func": function, "args": args, "kwargs": {}, "started": clock.now(),
        "ack_failure": True,
    }  # fmt: skip
    OrmQ.objects.create(key=broker().list_key, payload=SignedPackage.dumps(task), lock=at)


def try_again(function: str, *args: Any) -> None:
    """Put a call of ``function`` into the queue for later, where a store is away and no schedule looks for the work."""
    send(function, *args, at=clock.now() + AGAIN)


def resume_now(run_id: int) -> bool:
    """Make a waiting run due at once: its vendor has answered, or calls back. False if it does not wait."""
    resumed = transitions.change(run_id, State.QUEUED, when=Q(state=State.WAITING), task_sent_at=clock.now())
    if resumed:
        wake(run_id)
    return resumed


def admit_next(uid: str, memory_id: str) -> None:
    """Let the oldest run that is queued behind another one begin. Call it inside the transaction of the end."""
    of_memory = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id)
    behind_it = of_memory.filter(blocked=True, state=State.QUEUED)
    run_id = behind_it.order_by("id").values_list("pk", flat=True).first()
    if run_id is None or of_memory.filter(blocked=False).exclude(state=State.FINISHED).exists():
        return
    if behind_it.filter(pk=run_id).update(blocked=False):
        wake_on_commit(run_id)


def messages() -> QuerySet[Any]:
    """The rows of the queue; ``lock`` is when a message is due, or until when a worker has it."""
    from django_q.models import OrmQ

    found: QuerySet[Any] = OrmQ.objects.filter(key=broker().list_key)
    return found


def oldest_due_seconds() -> float:
    """How long the oldest message has been due that no worker has taken; 0 where there is none."""
    now = clock.now()
    # The first entry of an index (``models.triggers``). Asked for the minimum, a database may go through all of them.
    oldest = messages().filter(lock__lt=now).order_by("lock").values_list("lock", flat=True).first()
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0


def load() -> float:
    """Return how far behind the queue is: ``oldest_due_seconds`` as a share of ``OMI_ADMIT_QUEUE_SECONDS``, for
    ``omi.serving.admission``."""
    limit = settings.OMI_ADMIT_QUEUE_SECONDS
    return oldest_due_seconds() / limit if limit else 0.0


def behind(since: datetime) -> bool:
    """Whether messages that were due at ``since`` have not been handed to a worker yet."""
    return bool(messages().filter(lock__lt=since).exists())
