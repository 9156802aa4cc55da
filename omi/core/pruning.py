"""Rows that are too old are deleted in pieces: one statement over millions of them would keep everybody's writes
waiting on SQLite, and would be one long transaction on PostgreSQL."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import QuerySet

PIECE: Final = 500
"""Rows of one transaction: others write in between."""

PIECES: Final = 2000
"""Transactions of one call: a million rows. What is left goes the next time."""


def delete_in_pieces(rows: QuerySet[Any]) -> int:
    """Delete these rows, as many as one call may; how many went, with those that hang on them. A row that was changed
    meanwhile, so that it is not among them any more, stays."""
    gone = 0
    for _ in range(PIECES):
        found = list(rows.order_by().values_list("pk", flat=True)[:PIECE])
        gone += int(rows.filter(pk__in=found).delete()[0]) if found else 0
        if len(found) < PIECE:
            break
    return gone
