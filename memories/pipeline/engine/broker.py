"""Django-Q2's ORM broker, with statements whose text is built once (docs/decisions/0010).

The same table, the same meaning of its columns: a row is hidden until ``lock``, whoever moves ``lock`` on has it, and
it is deleted when its task is done. Only the writing of SQL is left out, which cost more than the database's work.
"""

from __future__ import annotations

from time import sleep
from typing import Any

from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ

from omi.core import rows


class RowsBroker(ORM):  # type: ignore[misc]  # Django-Q2 has no types
    def enqueue(self, task: str) -> int:
        self.get_connection()  # an old connection is closed, unless a transaction is open
        row = OrmQ(key=self.list_key or Conf.CLUSTER_NAME, payload=task, lock=timezone.now())
        rows.insert([row], using=Conf.ORM)
        return int(row.pk)

    def dequeue(self) -> list[tuple[int, str]] | None:
        self.get_connection()
        due = {"key": self.list_key, "lock__lt": timezone.now()}
        found = rows.select(OrmQ, ("id", "payload", "lock"), due, limit=Conf.BULK, using=Conf.ORM)
        if not found:
            sleep(Conf.POLL)
            return None
        return [(key, payload) for key, payload, lock in found if self._take(key, lock)]

    def _take(self, key: int, lock: Any) -> bool:
        """False where another cluster was faster."""
        return bool(rows.update(OrmQ, {"lock": self.timeout(None)}, {"id": key, "lock": lock}, using=Conf.ORM))

    def delete(self, task_id: int) -> None:
        self.get_connection()
        rows.delete(OrmQ, {"id": task_id}, using=Conf.ORM)
