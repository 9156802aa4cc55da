"""For how long a socket may stay: its token is looked at again at its end, and now and then before (a user may be
disabled, sign out everywhere, or erase the account). The client may send a fresh one at any time."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from transcription.listen import authentication

RECHECK_SECONDS = 300.0
"""What a revocation waits for where nobody tells this process of it. Each look is one call to the identity service."""
TRY_AGAIN_SECONDS = 30.0
WARN_SECONDS = 60.0
"""So long before the token's end the client is asked for a fresh one."""


class SignIn:
    """The sign-in of one socket, which is verified again while the socket is open."""

    def __init__(self, visitor: authentication.Visitor) -> None:
        self._visitor = visitor
        self._look_at = time.monotonic() + RECHECK_SECONDS
        self._warned = False

    @property
    def vocabulary(self) -> tuple[str, ...]:
        return self._visitor.vocabulary

    @property
    def heard_with(self) -> dict[str, Any]:
        """What a session's plan takes from the user (``transcription.session.dependencies.Plan``)."""
        return {name: getattr(self._visitor, name) for name in ("vocabulary", "order", "accuracy")}

    @property
    def issued_at(self) -> float:
        return self._visitor.issued_at

    def warns(self) -> bool:
        """True once, shortly before the token expires."""
        if self._warned or time.time() < self._visitor.expires_at - WARN_SECONDS:
            return False
        self._warned = True
        return True

    async def look(self) -> None:
        """Verify the token again when it is time; raises Refused when the user may not stay. An identity service that
        is away changes nothing before the token's own end."""
        if time.time() >= self._visitor.expires_at:
            raise authentication.Refused("unauthenticated", "The token has expired.")
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + RECHECK_SECONDS
        try:
            await authentication.verify(self._visitor.token)
        except authentication.Refused as refused:
            if not refused.later:
                raise
            self._look_at = time.monotonic() + TRY_AGAIN_SECONDS

    async def renew(self, token: str) -> bool:
        """Whether this is a good token of the same user; it then counts instead of the one before."""
        try:
            visitor = await authentication.verify(token)
        except authentication.Refused:
            return False
        if visitor.uid != self._visitor.uid:
            return False
        self._visitor = replace(self._visitor, issued_at=visitor.issued_at, expires_at=visitor.expires_at, token=token)
        self._look_at = time.monotonic() + RECHECK_SECONDS
        self._warned = False
        return True
