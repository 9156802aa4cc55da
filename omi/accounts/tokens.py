"""Development tokens: signed with the secret key, for deployments without Firebase. Not JWT: nothing to confuse."""

from __future__ import annotations

import time

from django.core import signing

from omi.accounts.principal import Principal
from omi.core.ids import is_id
from omi.stores.documents.base import InvalidPath

SALT = "omi.accounts.tokens"
MAX_DAYS = 3650


class BadToken(ValueError):
    """The token is none of this server, or has expired."""


class ExpiredToken(BadToken):
    """It was a token of this server."""


def mint(uid: str, days: float = 30) -> str:
    """A bearer token for ``uid``. Raises InvalidPath for a uid that cannot be one, ValueError for absurd ages."""
    if not is_id(uid):
        raise InvalidPath("a user's id is 1 to 128 printable ASCII characters without blanks and slashes")
    if not 0 < days <= MAX_DAYS:
        raise ValueError(f"a token lives more than 0 and at most {MAX_DAYS} days")
    now = time.time()
    return signing.dumps({"uid": uid, "iat": int(now * 1000) / 1000, "exp": round(now + days * 86400, 3)}, salt=SALT)


def read(token: str) -> Principal:
    """Return whose token it is and until when; raises BadToken where it is not this server's, damaged or expired."""
    try:
        claims = signing.loads(token, salt=SALT)
        uid, issued, expires = claims["uid"], float(claims["iat"]), float(claims["exp"])
    except (signing.BadSignature, ValueError, KeyError, TypeError) as error:
        raise BadToken("not a token of this server") from error
    if expires <= time.time():
        raise ExpiredToken("the token has expired")
    return Principal(uid=uid, issued_at=issued, expires_at=expires)
