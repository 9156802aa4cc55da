"""One rule for every moment that a client brings: it can be put into any zone, stored and shown everywhere.

Python's own range ends in years 1 and 9999, and a moment a few hours from its ends cannot be put into another zone:
what such a one meets later is an OverflowError, far from the request that brought it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

FIRST_YEAR, LAST_YEAR = 1900, 2200


def checked(moment: datetime) -> datetime:
    """The moment, aware: one without a zone is in UTC. For pydantic. Raises ValueError."""
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"a moment lies between the years {FIRST_YEAR} and {LAST_YEAR}")
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(checked)]
