"""Push notifications to a user's devices, through the backend that ``settings.PROVIDERS["push"]`` names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from omi.accounts.users import find_user, forget_fcm_tokens
from omi.core.errors import ProviderError
from omi.core.providers import one
from omi.shared_metrics.counters import SharedCounter

log = structlog.get_logger(__name__)

DELIVERED, FAILED, UNREGISTERED = "delivered", "failed", "unregistered"
SENT: Final = SharedCounter(
    "omi_push",
    "Notifications to devices, by what became of them.",
    ["outcome"],
    begin=((DELIVERED,), (FAILED,), (UNREGISTERED,)),
)
"""``unregistered``: the app is gone from that device, which is nobody's fault and is not tried again."""


def push(uid: str, title: str, body: str, data: Mapping[str, str] | None = None) -> int:
    """Send to every device of the user. Returns how many took it. Raises ProviderError when none could be reached."""
    user = find_user(uid)
    if user is None or user.account_deleted or not user.fcm_tokens:
        return 0
    try:
        result = one("push").send(user.fcm_tokens, title, body, dict(data or {}))
    except ProviderError:
        SENT.inc(FAILED, amount=len(user.fcm_tokens))
        raise
    failed = len(user.fcm_tokens) - result.delivered - len(result.unregistered) if result.failure is not None else 0
    for outcome, count in ((DELIVERED, result.delivered), (UNREGISTERED, len(result.unregistered)), (FAILED, failed)):
        if count:
            SENT.inc(outcome, amount=count)
    if result.unregistered:
        forget_fcm_tokens(uid, result.unregistered)
    if result.failure is not None:
        if not result.delivered:
            raise result.failure
        log.warning("push_failed", code=result.failure.code, failed=failed, delivered=result.delivered)
    return int(result.delivered)
