"""A breaker per vendor: a vendor whose money or limit ran out is not asked again for a while.

Quota opens it at once; so do ``FAILURES`` transient failures in a row. After ``retry_at`` one probe passes.
The rows are shared by all workers. An open breaker is a metric, and its opening is logged as an error: the alarm. Why
live speech has another one: docs/decisions/0022.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db.models import F, Q
from django.utils import timezone

from memories.pipeline.engine.retry_policy import BREAKER_OPEN, LONGEST
from memories.pipeline.models import VendorBreaker
from omi.core.errors import ErrorKind, ProviderError

log = structlog.get_logger(__name__)

FAILURES: Final = 5
QUOTA_PAUSE: Final = timedelta(minutes=15)
FAILURE_PAUSE: Final = timedelta(seconds=60)
PROBE: Final = timedelta(seconds=60)
BY_HAND: Final = "by hand"


def admit(vendor: str) -> bool:
    """Return if ``vendor`` may be called now; raise ProviderError (quota or transient) while its breaker is open.

    True where the vendor failed lately, so that a success is worth telling.
    """
    row = VendorBreaker.objects.filter(pk=vendor).first()
    if row is None or not row.open or row.retry_at is None:
        return row is not None and row.failures > 0
    now = timezone.now()
    if row.retry_at <= now:
        # Half open: whoever moves retry_at on is the probe; the others still find the breaker open.
        probe = VendorBreaker.objects.filter(pk=vendor, open=True, retry_at=row.retry_at)
        if probe.update(retry_at=now + PROBE):
            return True
        row.retry_at = now + PROBE
    raise ProviderError(
        vendor,
        "is not called for now: its limit was reached or it failed repeatedly",
        kind=ErrorKind.QUOTA if row.reason == ErrorKind.QUOTA else ErrorKind.TRANSIENT,
        code=BREAKER_OPEN,
        retry_after=(row.retry_at - now).total_seconds(),
    )


def succeeded(vendor: str) -> None:
    """Close the vendor's breaker after a call that succeeded, unless a person opened it and its time is not over."""
    rows = VendorBreaker.objects.filter(Q(open=True) | Q(failures__gt=0), pk=vendor)
    # What a person opened stays open for its time, whatever a call that was under way brings.
    if rows.exclude(reason=BY_HAND, retry_at__gt=timezone.now()).update(
        open=False, failures=0, reason="", retry_at=None
    ):
        log.info("breaker_closed", vendor=vendor)


def failed(error: ProviderError) -> None:
    """Count a failure. Permanent ones are about the request, not the vendor's health, and do not count."""
    if error.code == BREAKER_OPEN or error.kind is ErrorKind.PERMANENT:
        return
    now = timezone.now()
    row, _ = VendorBreaker.objects.get_or_create(vendor=error.vendor)
    VendorBreaker.objects.filter(pk=error.vendor).update(failures=F("failures") + 1)
    quota = error.kind is ErrorKind.QUOTA
    if not quota and row.failures + 1 < FAILURES and not row.open:
        return
    pause = max(QUOTA_PAUSE if quota else FAILURE_PAUSE, timedelta(seconds=error.retry_after or 0))
    VendorBreaker.objects.filter(pk=error.vendor).update(
        open=True, reason=error.kind.value, opened_at=row.opened_at if row.open else now, retry_at=now + pause
    )
    log.error("breaker_opened", vendor=error.vendor, reason=error.kind.value, seconds=pause.total_seconds())


def open_by_hand(vendor: str, *, minutes: int) -> None:
    """Call ``vendor`` no more for ``minutes`` (support staff, while it misbehaves); then a probe passes as ever."""
    now = timezone.now()
    values = {"open": True, "reason": BY_HAND, "opened_at": now, "retry_at": now + timedelta(minutes=minutes)}
    VendorBreaker.objects.update_or_create(vendor=vendor[:64], defaults=values)
    log.warning("breaker_opened_by_hand", vendor=vendor, minutes=minutes)


def reset(vendor: str) -> bool:
    """Close a vendor's breaker by hand (support, after the account was topped up); False where it was not open."""
    rows = VendorBreaker.objects.filter(pk=vendor, open=True)
    if not rows.update(open=False, failures=0, reason="", retry_at=None):
        return False
    log.warning("breaker_closed_by_hand", vendor=vendor)
    return True


def holds_back(row: VendorBreaker) -> bool:
    """Return whether an open breaker keeps anybody from its vendor, as the metric tells it.

    It does for its time, and while whoever it refused may still wait for the next try. Later it stands open because
    nobody has called since, which says nothing about the vendor. Only where the money or the limit is at an end has
    somebody something to do, whether it is called or not.
    """
    if not row.open or row.retry_at is None or row.reason == ErrorKind.QUOTA:
        return row.open
    return row.retry_at > timezone.now() - timedelta(seconds=LONGEST)


def closes_at(vendor: str) -> datetime | None:
    """Return when a vendor that is not called at the moment will be tried again."""
    row = VendorBreaker.objects.filter(pk=vendor, open=True).first()
    return row.retry_at if row is not None else None
