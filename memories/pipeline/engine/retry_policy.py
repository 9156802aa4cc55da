"""When to try again: tenacity's policies, spread over due times instead of sleeping in a worker.

Exponential with full jitter, at most ``ATTEMPTS`` failures and ``WINDOW`` seconds per step and vendor; a vendor's own
``retry_after`` is a lower bound. The run's budget bounds all of them together.

Our own stores are another matter: asking them again costs nothing, and nothing can be done without them. They are
waited for as long as ``OMI_STORE_PATIENCE_HOURS``, however often they fail meanwhile.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from tenacity import RetryCallState, Retrying, stop_after_attempt, stop_after_delay, wait_exponential_jitter

from omi.core import clock
from omi.core.errors import ErrorKind, ProviderError, StoreError

ATTEMPTS: Final = 6
BREAKER_OPEN: Final = "breaker_open"
"""Code of our own refusal to ask a vendor that failed lately (``breaker``)."""
WINDOW: Final = 3600.0
LONGEST: Final = 300.0
RETRY_AFTER_LIMIT: Final = 1800.0
RUN_BUDGET: Final = 20
"""Failures that a whole run may retry, over all of its steps and vendors."""

OPTIONAL_PATIENCE: Final = 300.0
"""Seconds, plus a sixtieth of the recording's length, that an optional step may take with all of its tries. The better
transcript is there and waits for it: nobody should look at the old one for hours because emotions were asked for. A
retry goes on where it stopped, with the parts that were paid for."""

_waits = wait_exponential_jitter(multiplier=2, max=LONGEST, exp_base=2, jitter=2)
_stops = stop_after_attempt(ATTEMPTS) | stop_after_delay(WINDOW)


def delay(checkpoint: dict[str, Any], scope: str, error: ProviderError, *, elsewhere: int = 0) -> float | None:
    """Count a failure of ``scope`` (a vendor, or the step) in ``checkpoint``; seconds until the next try, or None.

    None means: do not try again. ``checkpoint`` is changed in place and must be stored by the caller. ``elsewhere`` is
    what the run's other steps have had of its budget. A refusal by our own breaker is no try: it is bounded in time.
    """
    if error.kind is not ErrorKind.TRANSIENT:
        return None
    failures = checkpoint.setdefault("failures", {})
    now = clock.now().timestamp()
    seen = failures.setdefault(scope, {"count": 0, "since": now})
    if error.code == BREAKER_OPEN:
        over = now - seen["since"] > WINDOW
        return None if over else min(LONGEST, max(1.0, error.retry_after or 0.0)) + random.random()
    seen["count"] += 1
    state = _state(seen, now)
    if _stops(state) or elsewhere + sum(item["count"] for item in failures.values()) > RUN_BUDGET:
        return None
    asked = error.retry_after or 0.0
    if asked > RETRY_AFTER_LIMIT:
        return None
    return float(max(asked, _waits(state)))


def store_delay(checkpoint: dict[str, Any], error: StoreError) -> float | None:
    """Return how long to wait as ``delay``, for a store of ours: bounded in time only. None once its patience is over,
    or it refused for good.

    The outage is remembered in ``checkpoint["store"]`` until the step ends or waits for something else.
    """
    if error.kind is not ErrorKind.TRANSIENT:
        return None
    now = clock.now().timestamp()
    seen = checkpoint.setdefault("store", {"count": 0, "since": now})
    seen["count"] += 1
    if now - seen["since"] > settings.OMI_STORE_PATIENCE_HOURS * 3600:
        return None
    wait = wait_exponential_jitter(initial=1, max=settings.OMI_STORE_RETRY_SECONDS, exp_base=2, jitter=1)
    return float(wait(_state(seen, now)))


def optional_deadline(audio_seconds: float) -> datetime:
    """Return when the rest of the run no longer waits for an optional step that begins now."""
    return clock.now() + timedelta(seconds=OPTIONAL_PATIENCE + audio_seconds / 60)


def store_answers(checkpoint: dict[str, Any]) -> None:
    """The step waits for something else than a store: the next outage is another one."""
    checkpoint.pop("store", None)


def _state(seen: dict[str, Any], now: float) -> RetryCallState:
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = seen["count"]
    state.start_time = 0.0
    state.outcome_timestamp = max(0.0, now - seen["since"])
    return state
