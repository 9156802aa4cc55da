"""Rates: how many requests one user may make, and sockets open, within a minute. What is beyond is refused, and logged.

Counted in the cache: of the process, or of all processes where Redis is set. Without the cache nothing is counted.
"""

from __future__ import annotations

import hashlib
import time
from ipaddress import ip_address, ip_network
from typing import Any

import structlog
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from omi.accounts.staff_login import address_of
from omi.core.metrics import throttled_total

log = structlog.get_logger(__name__)

WINDOW = 60


class UserRate(BaseThrottle):
    """How many requests a user may make within a minute, counted over all requests of a user. Strangers have a rate
    where they read what others share (``StrangerRate``)."""

    kind = "requests"
    setting = "OMI_REQUESTS_PER_MINUTE"
    methods: frozenset[str] | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        most = int(getattr(settings, self.setting))
        uid = getattr(request.user, "uid", None)
        if most <= 0 or uid is None or (self.methods is not None and request.method not in self.methods):
            return True
        self._left = WINDOW - time.time() % WINDOW
        return within(self.kind, most, uid)

    def wait(self) -> float:
        return self._left


class SearchRate(UserRate):
    """How many searches a user may make within a minute (``OMI_SEARCHES_PER_MINUTE``)."""

    kind = "searches"
    setting = "OMI_SEARCHES_PER_MINUTE"


class CreateRate(UserRate):
    """How many things a user may create within a minute, counted by POST (``OMI_CREATES_PER_MINUTE``)."""

    kind = "creates"
    setting = "OMI_CREATES_PER_MINUTE"
    methods = frozenset({"POST"})


class StrangerRate(BaseThrottle):
    """Requests without a token, by address."""

    def allow_request(self, request: Request, view: Any) -> bool:
        most = int(settings.OMI_STRANGERS_PER_MINUTE)
        self._left = WINDOW - time.time() % WINDOW
        return most <= 0 or within("strangers", most, stranger(request))

    def wait(self) -> float:
        return self._left


def stranger(request: Request | HttpRequest) -> str:
    """Who asks without a token: a digest of the address (of IPv6 the network, of which one person has a whole one)."""
    told = address_of(request)
    try:
        address = ip_address(told)
        told = str(ip_network(f"{told}/64", strict=False)) if address.version == 6 else told
    except ValueError:
        pass
    return f"stranger-{hashlib.sha256(told.encode()).hexdigest()[:16]}"


def within(kind: str, most: int, uid: str) -> bool:
    """Count a request of a user; whether it is one of the ``most`` of this minute."""
    count = _count(f"rate-{kind}-{uid}-{int(time.time() // WINDOW)}")
    if count <= most:
        return True
    throttled_total.labels(kind).inc()
    if count == most + 1:  # once a minute, not once a request
        log.warning("throttled", kind=kind, uid=uid, most=most)
    return False


def allowed(kind: str, uid: str) -> bool:
    """Count a request and say whether the user's rate allows it, for a door that is no view of the REST framework.
    ``kind``: ``requests``, ``searches``, ``creates``, ``sockets``."""
    most = int(getattr(settings, f"OMI_{kind.upper()}_PER_MINUTE"))
    return most <= 0 or within(kind, most, uid)


def _count(key: str) -> int:
    try:
        cache.add(key, 0, 2 * WINDOW)
        return int(cache.incr(key))
    except Exception as error:  # each cache backend has its own; a user is not locked out for it
        log.warning("rates_not_counted", error=type(error).__name__)
        return 0
