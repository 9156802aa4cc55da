"""Tasks whose function a worker did not know: while a deploy rolls, a worker of the last release takes what a web
server of this one has sent.

Django-Q2 records such a task as failed and forgets it. Most work is found again by a schedule that looks for what is
due; here every task is sent again, so that none depends on it.
"""

from __future__ import annotations

import pydoc
from datetime import timedelta
from typing import Final

import structlog
from django.db import transaction
from django.utils import timezone
from django_q.models import Task
from django_q.tasks import async_task

from memories.pipeline.engine import queue

log = structlog.get_logger(__name__)

SENT_FOR: Final = timedelta(days=1)
"""A deploy is rolled within; a function that nobody knows for so long was taken out."""
LIMIT: Final = 500


def send_again() -> int:
    """Send what a worker did not know and this release does; how many. Workers of the last release may take it again,
    until there are none. What a schedule sends is left to its next turn."""
    failed = Task.objects.filter(success=False, stopped__gt=timezone.now() - SENT_FOR, group=None)
    sent = 0
    for task in list(failed.order_by("stopped")[:LIMIT]):
        if not str(task.result).startswith(f"Function {task.func} is not defined") or pydoc.locate(task.func) is None:
            continue
        with transaction.atomic():
            if Task.objects.filter(pk=task.pk).delete()[0]:  # another housekeeping may have been faster
                given, options = task.args or (), {**(task.kwargs or {}), "ack_failure": True}
                async_task(task.func, *given, broker=queue.broker(), **options)
                sent += 1
        log.info("unknown_task_sent_again", function=task.func)
    return sent
