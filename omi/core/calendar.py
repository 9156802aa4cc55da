"""Days of a user's calendar as instants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when a day begins in a zone, in UTC. Where clocks jump over midnight it begins with the jump; what lies
    beyond the moments that there are is the first or the last of them."""
    begins = datetime(day.year, day.month, day.day, tzinfo=zone)
    try:
        return begins.astimezone(UTC)
    except OverflowError:
        return (datetime.min if day.year == date.min.year else datetime.max).replace(tzinfo=UTC)
