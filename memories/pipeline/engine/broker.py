"""The queue's broker: Django-Q2's own on the ORM, in the order in which messages are due."""

from __future__ import annotations

from typing import Any

from django_q.brokers.orm import ORM


class InOrder(ORM):  # type: ignore[misc]
    """Hands out the message that has been due for longest.

    Django-Q2's own asks for any. PostgreSQL then gives what lies first in the table, where new rows take the place of
    old ones: a message could wait for as long as others come.
    """

    @staticmethod
    def get_connection(list_key: str | None = None) -> Any:
        """Return the messages; by their due time, for which the table has an index (``models.triggers``)."""
        return ORM.get_connection(list_key).order_by("lock")
