"""The circuit breaker of the live vendors: shared by processes, and not at the mercy of their wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.db import OperationalError, close_old_connections

from omi.core.errors import ErrorKind, ProviderError
from transcription.vendors import circuit_breaker as module
from transcription.vendors.circuit_breaker import (
    ALARM_SECONDS,
    FAILURES_TO_OPEN,
    MAX_OPEN_SECONDS,
    OPEN_SECONDS,
    SharedBreaker,
)

pytestmark = pytest.mark.django_db(transaction=True)


class Clock:
    """Both clocks. ``set`` moves the one on the wall, as an administrator or NTP does; ``pass_`` moves both."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_800_000_000.0, 5_000.0

    def time(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def set(self, seconds: float) -> None:
        self.wall += seconds

    def pass_(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def failure(kind: ErrorKind = ErrorKind.TRANSIENT, retry_after: float | None = None) -> ProviderError:
    return ProviderError("deepgram", "it failed", kind=kind, code="x", retry_after=retry_after)


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    async def whole() -> Any:
        try:
            return await asyncio.wait_for(work(), 20)
        finally:
            await database_sync_to_async(close_old_connections, thread_sensitive=False)()

    return asyncio.run(whole())


def processes() -> tuple[SharedBreaker, SharedBreaker]:
    """Two web processes' views of one row."""
    return SharedBreaker("deepgram"), SharedBreaker("deepgram")


async def opened(breaker: SharedBreaker) -> None:
    for _ in range(FAILURES_TO_OPEN):
        await breaker.wait_before_call()
        await breaker.failed(failure())


def test_it_opens_after_three_failures_lets_one_try_and_closes_on_success(clock: Clock) -> None:
    async def work() -> None:
        one, other = processes()
        assert await one.wait_before_call() == 0.0
        await opened(one)
        assert await one.wait_before_call() == pytest.approx(OPEN_SECONDS)
        assert await other.wait_before_call() == pytest.approx(OPEN_SECONDS)
        clock.pass_(OPEN_SECONDS + 0.1)
        waits = await asyncio.gather(*(breaker.wait_before_call() for breaker in (one, other, one, other)))
        assert sorted(waits)[0] == 0.0
        assert sorted(waits)[1] > 0.0, "half-open: one try, by one process"
        await one.succeeded()
        clock.pass_(module.REFRESH_SECONDS + 0.1)
        assert await one.wait_before_call() == 0.0
        clock.pass_(OPEN_SECONDS)
        assert await other.wait_before_call() == 0.0

    run(work)


def test_each_failed_try_doubles_the_wait_up_to_a_minute(clock: Clock) -> None:
    async def work() -> list[float]:
        one, _ = processes()
        await opened(one)
        waits = []
        for _ in range(6):
            wait = await one.wait_before_call()
            waits.append(round(wait, 1))
            clock.pass_(wait + 0.01)
            assert await one.wait_before_call() == 0.0
            await one.failed(failure())
        return waits

    assert run(work) == [5.0, 10.0, 20.0, 40.0, MAX_OPEN_SECONDS, MAX_OPEN_SECONDS]


@pytest.mark.parametrize("hours", [-1, -24, -0.05])
def test_a_clock_that_is_set_back_lengthens_no_wait(clock: Clock, hours: float) -> None:
    """Neither in the process that saw the vendor fail, nor in one that reads the row for the first time."""

    async def work() -> None:
        one, other = processes()
        await opened(one)
        assert await one.wait_before_call() > 0
        clock.set(hours * 3600)
        assert await one.wait_before_call() == pytest.approx(OPEN_SECONDS)
        assert await other.wait_before_call() == pytest.approx(OPEN_SECONDS)
        clock.pass_(OPEN_SECONDS + 0.1)
        waits = [await breaker.wait_before_call() for breaker in (other, one)]
        assert waits[0] == 0.0
        assert waits[1] > 0.0, "also then only one tries"
        await other.failed(failure())
        assert await other.wait_before_call() == pytest.approx(2 * OPEN_SECONDS, abs=0.1)

    run(work)


def test_a_clock_that_is_set_forward_opens_no_door_to_more_than_one(clock: Clock) -> None:
    async def work() -> None:
        one, other = processes()
        await opened(one)
        assert await one.wait_before_call() > 0
        clock.set(3600)
        assert await one.wait_before_call() == pytest.approx(OPEN_SECONDS), "it counts by its own clock"
        waits = [await breaker.wait_before_call() for breaker in (other, one, other)]
        assert waits[0] == 0.0
        assert min(waits[1:]) > 0.0

    run(work)


@pytest.mark.parametrize("kind", [ErrorKind.PERMANENT, ErrorKind.QUOTA])
def test_a_refused_key_or_an_empty_account_opens_at_once_and_for_long(clock: Clock, kind: ErrorKind) -> None:
    async def work() -> None:
        one, other = processes()
        await one.failed(failure(kind))
        for breaker in (one, other):
            assert await breaker.wait_before_call() == MAX_OPEN_SECONDS, "asked again in a minute whether it still is"
        clock.pass_(ALARM_SECONDS - 1)
        assert await other.wait_before_call() > 0
        clock.pass_(2)
        assert await other.wait_before_call() == 0.0

    run(work)


def test_the_vendors_own_time_is_kept_where_it_is_longer(clock: Clock) -> None:
    async def work() -> float:
        one, _ = processes()
        for _ in range(FAILURES_TO_OPEN):
            await one.failed(failure(retry_after=30.0))
        return await one.wait_before_call()

    assert run(work) == pytest.approx(30.0)


def test_without_the_database_a_vendor_is_called_by_what_the_process_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of a vendor's connection would end here, and the session would hear nothing to its end."""

    def away(self: SharedBreaker, *given: object) -> None:
        raise OperationalError("the server closed the connection unexpectedly")

    for name in ("_read", "_claim", "_record_failure", "_record_success"):
        monkeypatch.setattr(SharedBreaker, name, away)

    async def work() -> None:
        breaker = SharedBreaker("deepgram")
        assert await breaker.wait_before_call() == 0.0
        await breaker.failed(ProviderError("deepgram", "x", kind=ErrorKind.TRANSIENT))
        breaker._seen.failures = FAILURES_TO_OPEN
        assert await breaker.wait_before_call() == 0.0
        await breaker.succeeded()
        assert breaker._seen.failures == 0

    run(work)


def test_seven_sessions_that_one_blip_drops_open_it_for_five_seconds(clock: Clock) -> None:
    """They count once: seven failures in the same moment meant 60 s without the vendor, for everybody."""

    async def work() -> None:
        one, other = processes()
        await asyncio.gather(*(breaker.failed(failure()) for breaker in (one, other, one, other, one, other, one)))
        assert await other.wait_before_call() == pytest.approx(OPEN_SECONDS)
        clock.pass_(OPEN_SECONDS + 0.1)
        assert await one.wait_before_call() == 0.0
        # Calls that were under way fail now, too; only the one try says whether the vendor is back.
        await asyncio.gather(asyncio.create_task(other.failed(failure())), asyncio.create_task(one.failed(failure())))
        await one.failed(failure())
        assert await other.wait_before_call() == pytest.approx(2 * OPEN_SECONDS)

    run(work)
