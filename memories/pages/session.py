"""Who looks at a page: the token that was pasted at the sign-in, kept in a cookie that no script can read.

The token itself is the session: it is checked anew with every request, as the API does, so that the session ends with
the token, with ``manage.py signout`` and with the account, and there is nothing on the server to keep or to erase.
"""

from __future__ import annotations

import math
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from omi.accounts import tokens
from omi.accounts.identity import InvalidToken, verify_token
from omi.accounts.principal import Principal

COOKIE = "omi_app"
PATH = "/app"
MAX_TOKEN = 3500
"""Characters: with its name and attributes a browser keeps 4096 bytes. An ID token of Firebase has about 1000."""
LONGEST = 400 * 86400
"""Seconds that browsers keep a cookie."""
LIVE_SECONDS = 600.0
"""How long a token lives that the live page opens its socket with; the page fetches the next one."""


def sign_in(token: str) -> Principal:
    """Whose token this is. Raises InvalidToken, IdentityUnavailable."""
    if len(token) > MAX_TOKEN:
        raise InvalidToken("the token is too long for a cookie")
    return verify_token(token)


def principal_of(request: HttpRequest) -> Principal:
    """Who makes the request. Raises InvalidToken where nobody is signed in, IdentityUnavailable."""
    return sign_in(request.COOKIES.get(COOKIE, ""))


def start(response: HttpResponseBase, token: str, who: Principal) -> None:
    """Keep the token until it expires: SameSite=Strict, never for scripts, and only for the pages."""
    left = who.expires_at - time.time()
    response.set_cookie(
        COOKIE, token, path=PATH, httponly=True, samesite="Strict", secure=settings.SESSION_COOKIE_SECURE,
        max_age=int(min(left, LONGEST)) if math.isfinite(left) else None,
    )  # fmt: skip


def end(response: HttpResponseBase) -> None:
    """Forget the token in this browser."""
    response.delete_cookie(COOKIE, path=PATH, samesite="Strict")


def socket_token(request: HttpRequest, who: Principal) -> str:
    """A token for ``/v4/web/listen``. A development token of ten minutes, that ends no later than the session; with
    Firebase, whose tokens live an hour and are made by nobody else, the one that was posted."""
    if settings.OMI_AUTH == "firebase":
        return request.COOKIES.get(COOKIE, "")
    return tokens.mint(who.uid, days=max(1.0, min(LIVE_SECONDS, who.expires_at - time.time())) / 86400)
