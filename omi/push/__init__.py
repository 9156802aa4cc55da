"""Push notifications to a user's devices, through the backend that ``settings.PROVIDERS["push"]`` names."""

from __future__ import annotations

from collections.abc import Mapping

from omi.accounts.users import find_user, forget_fcm_tokens
from omi.core.providers import one


def push(uid: str, title: str, body: str, data: Mapping[str, str] | None = None) -> int:
    """Send to every device of the user. Returns how many took it. Raises ProviderError when none could be reached."""
    user = find_user(uid)
    if user is None or user.account_deleted or not user.fcm_tokens:
        return 0
    result = one("push").send(user.fcm_tokens, title, body, dict(data or {}))
    if result.unregistered:
        forget_fcm_tokens(uid, result.unregistered)
    if result.failure is not None and not result.delivered:
        raise result.failure
    return int(result.delivered)
