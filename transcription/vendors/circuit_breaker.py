"""Circuit breaker per vendor, shared by all processes through one database row per vendor.

closed: calls go through. open: nobody calls until ``retry_at``. half-open: one caller tries (it moves ``retry_at``
forward in the same statement that claims the try, so two processes never both do); success closes, failure opens for
longer. A vendor that says *no money* or *wrong key* opens at once and for long: it is alarmed, not retried.

``retry_at`` is wall-clock time, the only clock that processes (and machines) share. A clock that is set shortens or
keeps a wait, but never lengthens it: the row says how long was meant (``wait``), and a process that has seen it counts
by its own monotonic clock from then on. Why the pipeline has another one: docs/decisions/0022.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import structlog
from channels.db import database_sync_to_async
from django.db import Error, transaction
from django.db.models import F

from omi.core.database_threads import THREADS
from omi.core.errors import ErrorKind, ProviderError
from transcription.models import LiveVendorBreaker

log = structlog.get_logger(__name__)

T = TypeVar("T")

FAILURES_TO_OPEN = 3
OPEN_SECONDS, MAX_OPEN_SECONDS = 5.0, 60.0
ALARM_SECONDS = 300.0
"""How long a vendor that refused by key or quota is left alone."""
REFRESH_SECONDS = 2.0


class Breaker(Protocol):
    """What a vendor session needs of a circuit breaker: whether it may call, and to report how the call ended."""

    async def wait_before_call(self) -> float:
        """Seconds to wait before calling; 0 means: go (and, half-open, yours is the one try)."""

    async def failed(self, error: ProviderError) -> None: ...

    async def succeeded(self) -> None: ...


@dataclass(slots=True)
class _Seen:
    """What the row said. ``due`` and ``read_at`` are monotonic seconds of this process."""

    failures: int = 0
    retry_at: float = 0.0
    due: float = -1e9
    read_at: float = -1e9


class SharedBreaker:
    """The row of one vendor. What it says is remembered for ``REFRESH_SECONDS``, so a healthy vendor costs a
    thousand reconnecting clients one query."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self._seen = _Seen()
        self._trying: asyncio.Task[object] | None = None  # whose call is the one try of an open breaker

    async def wait_before_call(self) -> float:
        now = time.monotonic()
        if now - self._seen.read_at > REFRESH_SECONDS or self._seen.due > now:
            await self._refresh()
        left = self._seen.due - time.monotonic()
        if left > 0:
            return min(left, MAX_OPEN_SECONDS)
        if self._seen.failures < FAILURES_TO_OPEN:
            return 0.0
        if await self._row(self._claim, True, self._seen.retry_at):
            self._trying = asyncio.current_task()
            return 0.0
        await self._refresh()
        return max(0.2, min(self._seen.due - time.monotonic(), MAX_OPEN_SECONDS))

    async def failed(self, error: ProviderError) -> None:
        own = self._trying is not None and self._trying is asyncio.current_task()
        if own:
            self._trying = None
        await self._row(self._record_failure, None, error, own)
        self._seen.read_at = -1e9

    async def succeeded(self) -> None:
        if self._seen.failures:
            await self._row(self._record_success, None)
            self._seen = _Seen(read_at=time.monotonic())

    async def _refresh(self) -> None:
        seen = await self._row(self._read, None)
        if seen is None:
            self._seen.read_at = time.monotonic()
        else:
            self._seen = seen

    async def _row(self, work: Callable[..., T], otherwise: T, *given: object) -> T:
        """``otherwise`` while the database is away: what a process knows must do, for audio does not wait."""
        try:
            found: T = await database_sync_to_async(work, thread_sensitive=False, executor=THREADS)(*given)
        except Error as error:
            log.warning("breaker_unavailable", vendor=self.vendor, error=type(error).__name__)
            return otherwise
        return found

    def _read(self) -> _Seen:
        row = LiveVendorBreaker.objects.filter(vendor=self.vendor).first()
        now = time.monotonic()
        if row is None:
            return _Seen(read_at=now)
        if row.retry_at == self._seen.retry_at:
            due = self._seen.due
        else:
            due = now + min(max(0.0, row.retry_at - time.time()), row.wait)
        return _Seen(row.failures, row.retry_at, due, now)

    def _claim(self, seen: float) -> bool:
        """The one try: its claimer is who finds the row as it was seen."""
        claimed = LiveVendorBreaker.objects.filter(vendor=self.vendor, retry_at=seen).update(
            retry_at=time.time() + OPEN_SECONDS, wait=OPEN_SECONDS
        )
        return bool(claimed)

    def _record_failure(self, error: ProviderError, tried: bool) -> None:
        """``tried``: of the one call that an open breaker let through. The others that fail while it is open were under
        way when it opened (one blip drops all sessions), and say nothing new."""
        now = time.time()
        with transaction.atomic():
            LiveVendorBreaker.objects.get_or_create(vendor=self.vendor)
            # The update takes the row's lock before anything is read of it.
            LiveVendorBreaker.objects.filter(vendor=self.vendor).update(failures=F("failures") + 1)
            row = LiveVendorBreaker.objects.select_for_update().get(vendor=self.vendor)
            open_for = min(row.retry_at - now, row.wait)
            if row.failures > FAILURES_TO_OPEN and open_for > 0 and not tried and error.kind is ErrorKind.TRANSIENT:
                LiveVendorBreaker.objects.filter(vendor=self.vendor).update(failures=row.failures - 1)
                return
            wait = 0.0
            if error.kind is not ErrorKind.TRANSIENT:
                row.failures = max(row.failures, FAILURES_TO_OPEN)
                row.alarm = True
                wait = ALARM_SECONDS
            elif row.failures >= FAILURES_TO_OPEN:
                wait = min(MAX_OPEN_SECONDS, OPEN_SECONDS * 2 ** min(row.failures - FAILURES_TO_OPEN, 6))
                wait = max(wait, min(error.retry_after or 0.0, ALARM_SECONDS), open_for)
            if wait:
                row.retry_at, row.wait = now + wait, wait
            row.code = (error.code or error.kind.value)[:64]
            row.reason = error.message[:300]
            row.save()
        if row.alarm:
            log.error("vendor_alarm", vendor=self.vendor, kind=error.kind.value, code=error.code)

    def _record_success(self) -> None:
        LiveVendorBreaker.objects.filter(vendor=self.vendor).update(
            failures=0, retry_at=0.0, wait=0.0, alarm=False, code="", reason=""
        )


_breakers: dict[str, SharedBreaker] = {}


def breaker_for(vendor: str) -> SharedBreaker:
    """Return this process's breaker of the vendor; the same one to every caller."""
    return _breakers.setdefault(vendor, SharedBreaker(vendor))
