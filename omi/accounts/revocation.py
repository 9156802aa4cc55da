"""Signing a user out everywhere, at once: what was issued before counts for nothing from now on.

Firebase's own revocation is asked at most every ``OMI_TOKEN_CACHE_SECONDS``. This is the event that does not wait: it
is looked up with every token, in the database that all processes share, and open connections hear of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import structlog
from django.dispatch import Signal

from omi.accounts.models import SignOut
from omi.core import clock
from omi.core.batches import batches

log = structlog.get_logger(__name__)

CHUNK = 500
"""Users that one query asks for."""

signed_out = Signal()
"""``uid``: sent in the process that signed the user out, after it was stored. Other processes find the row."""


def sign_out(uid: str, *, reason: str) -> None:
    """Refuse every token that was issued until now. A new sign-in is a new token, and is taken."""
    SignOut.objects.update_or_create(uid=uid, defaults={"at": clock.now()})
    log.warning("signed_out", uid=uid, reason=reason[:300])
    signed_out.send(sender=sign_out, uid=uid)


def is_signed_out(uid: str, issued_at: float) -> bool:
    """Whether a sign-in at ``issued_at`` (seconds since 1970) was ended since. For open connections: look again."""
    at = SignOut.objects.filter(uid=uid).values_list("at", flat=True).first()
    return at is not None and issued_at <= at.timestamp()


def signed_out_among(uids: Iterable[str]) -> dict[str, datetime]:
    """Return when each of these users was signed out everywhere, of those that were."""
    found: dict[str, datetime] = {}
    for part in batches(uids, CHUNK):
        found.update(SignOut.objects.filter(uid__in=part).values_list("uid", "at"))
    return found


def forget_user(uid: str) -> int:
    """Delete the sign-out of an erased account, whose own fence names nobody and refuses the same tokens and more."""
    return int(SignOut.objects.filter(uid=uid).delete()[0])


def remaining(uid: str) -> int:
    """Return how many sign-out rows of the user are left, for the proof of an erasure."""
    return SignOut.objects.filter(uid=uid).count()
