"""A day of the calendar begins at some moment in every zone, also where no clock shows that moment."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from omi.core.calendar import midnight

ZONES = ["UTC", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Kiritimati", "Etc/GMT+12", "America/St_Johns"]


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize(
    "day", [date.min, date.min + timedelta(days=1), date(2011, 12, 30), date(2026, 3, 29), date.max]
)
def test_every_day_begins_in_every_zone(name: str, day: date) -> None:
    begins = midnight(day, ZoneInfo(name))
    assert begins.tzinfo is UTC
    assert abs(begins.replace(tzinfo=None) - datetime(day.year, day.month, day.day)) <= timedelta(hours=15)


@pytest.mark.parametrize("name", ZONES)
def test_days_begin_one_after_the_other(name: str) -> None:
    days = [date(2011, 12, 28) + timedelta(days=number) for number in range(5)]
    assert [midnight(day, ZoneInfo(name)) for day in days] == sorted(midnight(day, ZoneInfo(name)) for day in days)
