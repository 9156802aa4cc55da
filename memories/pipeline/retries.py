"""When to try again: tenacity's policies, spread over wake-ups instead of sleeping in a worker.

Exponential with full jitter, at most ``ATTEMPTS`` failures and ``WINDOW`` seconds per step and vendor; a vendor's own
``retry_after`` is a lower bound. The run's budget bounds all of them together.
"""

from __future__ import annotations

import time
from typing import Any, Final

from tenacity import RetryCallState, Retrying, stop_after_attempt, stop_after_delay, wait_exponential_jitter

from omi.errors import ErrorKind, ProviderError

ATTEMPTS: Final = 6
WINDOW: Final = 3600.0
LONGEST: Final = 300.0
RETRY_AFTER_LIMIT: Final = 1800.0
RUN_BUDGET: Final = 20
"""Failures that a whole run may retry, over all of its steps and vendors."""

_waits = wait_exponential_jitter(multiplier=2, max=LONGEST, exp_base=2, jitter=2)
_stops = stop_after_attempt(ATTEMPTS) | stop_after_delay(WINDOW)


def delay(checkpoint: dict[str, Any], scope: str, error: ProviderError) -> float | None:
    """Count a failure of ``scope`` (a vendor, or the step) in ``checkpoint``; seconds until the next try, or None.

    None means: do not try again. ``checkpoint`` is changed in place and must be stored by the caller.
    """
    if error.kind is not ErrorKind.TRANSIENT:
        return None
    failures = checkpoint.setdefault("failures", {})
    seen = failures.setdefault(scope, {"count": 0, "since": time.time()})
    seen["count"] += 1
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = seen["count"]
    state.start_time = time.monotonic()
    state.outcome_timestamp = state.start_time + max(0.0, time.time() - seen["since"])
    if _stops(state) or sum(item["count"] for item in failures.values()) > RUN_BUDGET:
        return None
    asked = error.retry_after or 0.0
    if asked > RETRY_AFTER_LIMIT:
        return None
    return float(max(asked, _waits(state)))
