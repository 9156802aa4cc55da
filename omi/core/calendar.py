"""Days of a user's calendar as instants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """When a day begins in a zone, in UTC. Where clocks jump over midnight it begins with the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
