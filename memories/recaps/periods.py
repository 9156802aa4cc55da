"""Days and weeks in a user's zone: from midnight to midnight, however many hours lie between. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from omi.core.calendar import midnight

MADE_UP = timedelta(days=7)
"""How long after its end a period still gets a recap that was missed."""
SETTLED = timedelta(minutes=10)
"""After midnight: a talk that went on until then has its memory."""
LENGTH = {"day": 1, "week": 7}


def first_of(kind: str, day: date) -> date:
    """The first day of the period in which a day lies; weeks begin on Monday."""
    return day - timedelta(days=day.weekday()) if kind == "week" else day


def bounds(kind: str, first: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Instants (UTC) at which a period begins and ends; the end belongs to the next. A day has 23 to 25 hours where
    clocks change."""
    return midnight(first, zone), midnight(first + timedelta(days=LENGTH[kind]), zone)


def ended(kind: str, now: datetime, zone: ZoneInfo) -> list[date]:
    """First days of the periods that ended within ``MADE_UP``, the oldest first."""
    today = now.astimezone(zone).date()
    found = []
    first = first_of(kind, today)
    for _ in range(MADE_UP.days + 1 if kind == "day" else 2):
        first -= timedelta(days=LENGTH[kind])
        end = bounds(kind, first, zone)[1]
        if end + SETTLED <= now and now - end <= MADE_UP:
            found.append(first)
    return found[::-1]


def next_look(now: datetime, zone: ZoneInfo) -> datetime:
    """Return when a recap may be due again."""
    today = now.astimezone(zone).date()
    settled = midnight(today, zone) + SETTLED
    return settled if settled > now else midnight(today + timedelta(days=1), zone) + SETTLED
