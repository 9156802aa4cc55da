"""``/healthz``: this process answers. ``/readyz``: what it needs answers, too."""

from __future__ import annotations

import threading
import time
from typing import Any

import structlog
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from omi.core import providers
from omi.core.errors import ProviderError
from omi.core.operators import is_operator
from omi.serving import admission
from omi.stores.documents.base import DocumentError
from transcription.hosts import heartbeats

log = structlog.get_logger(__name__)

FRESH = 2.0
"""Seconds for which one look at the stores answers all who ask: a document read costs money, and anybody may ask."""

_PROBE = "health/probe"


async def healthz(request: HttpRequest) -> JsonResponse:
    """Needs no thread and no store: a busy or cut-off process is still alive."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """503 where something is out of reach. Operators read what, the seconds that each check took, whether newcomers are
    let in, and which other hosts live that OMI_HOSTS does not count."""
    checks = _look.latest()
    ready = all(check["ok"] for check in checks.values())
    told: dict[str, Any] = {"status": "ok" if ready else "unavailable"}
    if is_operator(request):
        told["checks"] = checks
        # Not a part of "ready": what was accepted is still served here, and reads are answered.
        told["admission"] = {gate.refusal.code: "closed" if gate.shut else "open" for gate in admission.gates()}
        told["hosts_not_counted"] = _look.uncounted
    return JsonResponse(told, status=200 if ready else 503)


class _Look:
    """The checks, carried out by one request at a time and remembered for a moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._checks: dict[str, Any] = {}
        self.uncounted: list[str] = []

    def latest(self) -> dict[str, Any]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._checks = _checks()
                self.uncounted = _uncounted()
                self._until = time.monotonic() + FRESH
            return self._checks

    def forget(self) -> None:
        self._until = 0.0


def _checks() -> dict[str, Any]:
    checks: dict[str, Any] = {}
    for name, check in (("database", _database), ("documents", _documents)):
        began = time.monotonic()
        try:
            check()
            checks[name] = {"ok": True}
        except (DatabaseError, ProviderError, DocumentError) as error:
            log.warning("not_ready", check=name, error=type(error).__name__)
            checks[name] = {"ok": False}
        checks[name]["seconds"] = round(time.monotonic() - began, 4)
    return checks


def _uncounted() -> list[str]:
    """Other hosts that live although this one takes itself for the only one. A settings' fault, which operators read: a
    server that is not ready would be no help."""
    try:
        return heartbeats.uncounted()
    except DatabaseError:
        return []


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _documents() -> None:
    providers.one("documents").get(_PROBE)


_look = _Look()
forget = _look.forget
"""For tests: look again at once."""
