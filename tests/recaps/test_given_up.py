"""A store that is away for hours costs nobody a recap; one that is given up in the end is told of and begun again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from memories.recaps import making, metrics, reading
from memories.recaps.models import Recap
from memories.shapes import Memory
from omi.accounts.users import update_user
from omi.core.errors import ErrorKind, ProviderError
from omi.shared_metrics.collectors import RowCollector

Remember = Callable[..., Memory]
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TURN = timedelta(minutes=10)


class Clock:
    """The time that recaps are made by, and whether their store is there."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now, self.away, self.tries = NOW, False, 0
        patch.setattr(making.timezone, "now", lambda: self.now)
        self._make = making._make
        patch.setattr(making, "_make", self.make)

    def make(self, *words: Any) -> bool:
        self.tries += 1
        if self.away:
            raise ProviderError("documents", "away", kind=ErrorKind.TRANSIENT, code="503")
        return self._make(*words)

    def turns(self, hours: float) -> int:
        """What the schedule makes in so many hours."""
        made, until = 0, self.now + timedelta(hours=hours)
        while self.now < until:
            made += making.tick()
            self.now += TURN
        return made


@pytest.fixture
def clock(remember: Remember, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """One talk yesterday, whose user wants a recap of days."""
    update_user("alice", recap_weekly=False)
    remember("Talk", ("", "talk"), created_at=NOW - timedelta(days=1))
    return Clock(monkeypatch)


def given_up() -> float | None:
    registry = CollectorRegistry()
    registry.register(RowCollector(metrics.families))
    return registry.get_sample_value("omi_recaps_given_up")


@pytest.mark.parametrize("hours", [1.7, 6, 14])
def test_a_store_that_is_away_for_hours_costs_no_recap(clock: Clock, hours: float) -> None:
    """Ten tries, one every ten minutes, were over after a hundred."""
    clock.away = True
    assert clock.turns(hours) == 0
    clock.away = False
    assert given_up() == 0
    assert clock.turns(4.2) == 1
    assert Recap.objects.get().tries == 0


def test_one_that_fails_for_a_day_is_given_up_told_and_begun_again(clock: Clock) -> None:
    clock.away = True
    clock.turns(30)
    assert (given_up(), clock.tries) == (1, making.MOST_TRIES)
    clock.away = False
    assert clock.turns(6) == 0
    assert making.try_again() == 1
    assert given_up() == 0
    assert clock.turns(0.2) == 1
    assert making.try_again() == 0


def test_what_was_given_up_weeks_ago_is_asked_after_no_more(clock: Clock) -> None:
    making.look(NOW)
    Recap.objects.update(tries=making.MOST_TRIES, first=(NOW - making.GIVEN_UP_FOR).date())
    assert given_up() == 1
    Recap.objects.update(first=(NOW - making.GIVEN_UP_FOR - timedelta(days=1)).date())
    assert given_up() == 0


def test_who_asks_for_it_does_not_wait_for_the_next_try(clock: Clock, django_capture_on_commit_callbacks: Any) -> None:
    clock.away = True
    clock.turns(1)
    clock.away = False
    row = Recap.objects.get()
    assert not making.make(row.pk)
    reading.make_again("alice", "day", row.first, fence=lambda: None)
    assert making.make(row.pk)


def test_a_fault_of_ours_keeps_other_recaps_for_one_turn(
    clock: Clock, remember: Remember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands first in the order, and would be tried first ten times, each time to the end of the turn."""
    remember("Talk", ("", "talk"), created_at=NOW - timedelta(days=2))
    make, bad = clock._make, str((NOW - timedelta(days=2)).date())

    def fails(row: Recap, *words: Any) -> bool:
        if str(row.first) == bad:
            raise ValueError
        return make(row, *words)

    monkeypatch.setattr(clock, "_make", fails)
    with pytest.raises(ValueError):
        making.tick()
    clock.now += TURN * 1.1
    with suppress(ValueError):
        making.tick()
    assert Recap.objects.filter(due=False).count() == 1
