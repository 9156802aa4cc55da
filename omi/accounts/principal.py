"""Who makes a request."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated user of the app. ``issued_at`` is when the person signed in, ``expires_at`` the end of the token
    (seconds since 1970)."""

    uid: str
    email: str | None = None
    issued_at: float = 0.0
    expires_at: float = math.inf

    @property
    def pk(self) -> str:
        return self.uid

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def is_anonymous(self) -> bool:
        return False

    @property
    def is_active(self) -> bool:
        return True

    def __str__(self) -> str:
        return self.uid
