"""When a worker process is renewed. Django-Q2 ends one after ``recycle`` tasks and starts the next when it is gone: it
would be missing for as long as its calls to vendors are out. So a worker ends at the first moment without any; one
that always has calls out goes on.
"""

from __future__ import annotations

from typing import Any

from memories.pipeline.vendor_calls import in_flight

_tasks = 0
_every: int | None = None


def after_task(**_: Any) -> None:
    """In the worker, after each task, just before Django-Q2 compares its own count with ``Conf.RECYCLE``."""
    global _tasks, _every
    from django_q.conf import Conf

    if _every is None:
        _every = int(Conf.RECYCLE or 0)
    if not _every:
        return
    _tasks += 1
    Conf.RECYCLE = _tasks if _tasks >= _every and not in_flight.count() else 0
