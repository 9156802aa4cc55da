"""Writes that must not be lost: each is tried again while the database is away for a moment.

What carries a vendor's answer, a ticket or the name of a call that is out was paid for. It is forgotten only in the
transaction that stores what follows from it, and that transaction goes through ``write``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection

T = TypeVar("T")

log = structlog.get_logger(__name__)

PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the tries: a database that restarts. The worker holds its lease meanwhile."""


def write(function: Callable[[], T]) -> T:
    """What ``function`` returns. It may run several times: it is one transaction, which begins with the fence."""
    for pause in PAUSES:
        try:
            return function()
        except (OperationalError, InterfaceError) as error:
            log.warning("write_tried_again", error=type(error).__name__, seconds=pause)
            reconnect()
            time.sleep(pause)
    return function()


def reconnect() -> None:
    """Open anew what was cut off."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()
