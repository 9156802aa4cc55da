"""The login of the support console, bounded: passwords are not tried out, and strangers do not use up the processor.

Failures are counted in the cache (of the process, or Redis where several processes serve): five by one address for one
name, or twenty by one address for any, lock the address out for a quarter of an hour. One password is hashed at a time,
however many are sent: a hash costs a core a good part of a second, for unknown names, too.
"""

from __future__ import annotations

import hashlib
import threading
from typing import Any

import structlog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from rest_framework.request import Request

log = structlog.get_logger(__name__)

LOCK_SECONDS = 15 * 60
WAITING = 3
"""Logins that may wait for the one that is being hashed."""
PATIENCE = 5.0

_hashing = threading.Lock()
_places = threading.BoundedSemaphore(1 + WAITING)


@never_cache
@sensitive_post_parameters()
def login(request: HttpRequest) -> HttpResponse:
    """Guard the admin's own login view: 429 with ``Retry-After`` where an address has failed too often."""
    if request.method != "POST":
        return admin.site.login(request)
    name, address = str(request.POST.get("username", ""))[:150], address_of(request)
    if _locked(name, address):
        log.warning("staff_login_refused", account=_account(name), address=address)
        return _later(request, LOCK_SECONDS)
    if not _places.acquire(blocking=False):
        return _later(request, int(PATIENCE))
    try:
        if not _hashing.acquire(timeout=PATIENCE):
            return _later(request, int(PATIENCE))
        try:
            return admin.site.login(request)
        finally:
            _hashing.release()
    finally:
        _places.release()


def address_of(request: HttpRequest | Request) -> str:
    """The client's address; behind the proxy of production, the one that this proxy wrote last."""
    forwarded = request.headers.get("X-Forwarded-For", "").split(",")[-1].strip()
    if settings.OMI_ENVIRONMENT == "production" and forwarded:
        return forwarded[:64]
    return str(request.META.get("REMOTE_ADDR", ""))


def _locked(name: str, address: str) -> bool:
    counts = cache.get_many([_key(name, address), _key("", address)])
    for_name, for_all = int(counts.get(_key(name, address), 0)), int(counts.get(_key("", address), 0))
    return bool(for_name >= settings.OMI_LOGIN_TRIES or for_all >= settings.OMI_LOGIN_TRIES_OF_ADDRESS)


def on_failure(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Count a failed sign-in for its name and address, and log it; receiver of ``user_login_failed``."""
    if request is None:
        return
    name, address = str(credentials.get("username", ""))[:150], address_of(request)
    counts = [_count(_key(name, address)), _count(_key("", address))]
    log.warning("staff_login_failed", account=_account(name), address=address, failures=counts[0])
    if counts[0] == settings.OMI_LOGIN_TRIES or counts[1] == settings.OMI_LOGIN_TRIES_OF_ADDRESS:
        log.error("staff_login_locked", account=_account(name), address=address, seconds=LOCK_SECONDS)


def on_success(sender: Any, request: HttpRequest | None, user: Any, **_: Any) -> None:
    """Forget the failed sign-ins of the name from this address; receiver of ``user_logged_in``."""
    if request is not None:
        cache.delete(_key(user.get_username(), address_of(request)))
        log.info("staff_login", account=user.get_username(), address=address_of(request))


def _count(key: str) -> int:
    cache.add(key, 0, LOCK_SECONDS)
    try:
        return int(cache.incr(key))
    except ValueError:  # it ran out between the two
        cache.set(key, 1, LOCK_SECONDS)
        return 1


def _account(name: str) -> str:
    """What may be logged: people type their password into the wrong field."""
    return name if get_user_model().objects.filter(username=name).exists() else "(unknown)"


def _key(name: str, address: str) -> str:
    digest = hashlib.sha256(f"{name.casefold()}\0{address}".encode()).hexdigest()[:32]
    return f"staff-login-{digest}"


def _later(request: HttpRequest, seconds: int) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": "Too many attempts", "minutes": -(-seconds // 60)}
    response = TemplateResponse(request, "admin/locked.html", context, status=429)
    response.headers["Retry-After"] = str(seconds)
    return response.render()


def connect() -> None:
    """Connect the two receivers to Django's signals; once per process."""
    user_login_failed.connect(on_failure, dispatch_uid="omi.accounts.staff_login.failed")
    user_logged_in.connect(on_success, dispatch_uid="omi.accounts.staff_login.success")
