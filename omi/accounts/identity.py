"""From a bearer token to a user. The only place that decides who somebody is."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime

import structlog
from django.conf import settings
from django.core.cache import cache

from omi.accounts import sign_ins
from omi.accounts.erased import erased_since
from omi.accounts.principal import Principal
from omi.accounts.revocation import is_signed_out
from omi.accounts.tokens import BadToken, ExpiredToken, read
from omi.core.errors import MissingDependency
from omi.core.ids import is_id
from omi.stores.google import firebase_app

log = structlog.get_logger(__name__)

CLOCK_SKEW = 10
"""Seconds by which Google's clock and ours may differ."""

MAX_TOKEN = 8192


REFUSED = "Invalid authorization token"


class InvalidToken(Exception):
    """401: no token, not ours, expired, revoked, or of a user who is disabled or gone. ``outcome`` says which of them,
    for ``sign_ins``; the client is not told."""

    def __init__(self, sentence: str = REFUSED, *, outcome: str = "invalid") -> None:
        super().__init__(sentence)
        self.outcome = outcome


class IdentityUnavailable(Exception):
    """503: whether the token is good cannot be known now. Never a 401: that would sign the user out (1.12)."""


def verify_token(token: str) -> Principal:
    """Return whose token it is; raises InvalidToken (also for an erased or signed-out user), IdentityUnavailable.

    Every door asks here, so that what became of it is counted here."""
    if not token:  # a visitor who has none does not try to sign in
        raise InvalidToken
    try:
        principal = _principal(token)
    except InvalidToken as error:
        sign_ins.refused(error.outcome, token)
        raise
    except IdentityUnavailable as error:
        sign_ins.refused("unavailable", token)
        log.warning("identity_unavailable", error=type(error.__cause__ or error).__name__)
        raise
    sign_ins.accepted()
    return principal


def _principal(token: str) -> Principal:
    if len(token) > MAX_TOKEN or not token.isascii():
        raise InvalidToken
    principal = _firebase(token) if settings.OMI_AUTH == "firebase" else _dev(token)
    if not is_id(principal.uid):
        raise InvalidToken
    if _erased_since(principal) or _signed_out(principal):
        raise InvalidToken(outcome="ended")
    return principal


def _dev(token: str) -> Principal:
    try:
        return read(token)
    except ExpiredToken as error:
        raise InvalidToken(outcome="expired") from error
    except BadToken as error:
        raise InvalidToken from error


def _firebase(token: str) -> Principal:
    import google.auth.exceptions
    import requests
    from firebase_admin import auth, exceptions

    # Signature and age are checked each time, here. Whether it was revoked only Google knows: a call over the network.
    known = f"token-{hashlib.sha256(token.encode()).hexdigest()[:40]}"
    ask = not _remembered(known)
    try:
        claims = auth.verify_id_token(token, app=firebase_app(), check_revoked=ask, clock_skew_seconds=CLOCK_SKEW)
    except auth.CertificateFetchError as error:
        raise IdentityUnavailable("Google's certificates are out of reach") from error
    except auth.ExpiredIdTokenError as error:
        raise InvalidToken(outcome="expired") from error
    except (auth.RevokedIdTokenError, auth.UserDisabledError, auth.UserNotFoundError) as error:
        raise InvalidToken(outcome="ended") from error
    except (auth.InvalidIdTokenError, ValueError) as error:
        raise InvalidToken from error
    except (
        exceptions.FirebaseError,
        google.auth.exceptions.GoogleAuthError,
        requests.RequestException,
        MissingDependency,
    ) as error:
        raise IdentityUnavailable("the identity service is out of reach") from error
    if ask:
        _remember(known)
    issued = float(claims.get("auth_time") or claims.get("iat") or 0)
    expires = float(claims.get("exp") or math.inf)
    return Principal(uid=str(claims["uid"]), email=claims.get("email"), issued_at=issued, expires_at=expires)


def _remembered(key: str) -> bool:
    """Without the cache Google is asked each time."""
    try:
        return bool(cache.get(key))
    except Exception as error:  # each cache backend has its own
        log.warning("token_cache_out_of_reach", error=type(error).__name__)
        return False


def _remember(key: str) -> None:
    if settings.OMI_TOKEN_CACHE_SECONDS <= 0:
        return
    try:
        cache.set(key, 1, settings.OMI_TOKEN_CACHE_SECONDS)
    except Exception as error:
        log.warning("token_cache_out_of_reach", error=type(error).__name__)


def _signed_out(principal: Principal) -> bool:
    return is_signed_out(principal.uid, principal.issued_at)


def _erased_since(principal: Principal) -> bool:
    """The account was erased after this person signed in: only a new sign-in may start a new account."""
    return erased_since(principal.uid, datetime.fromtimestamp(principal.issued_at, tz=UTC))
