"""``/healthz``: this process answers. ``/readyz``: what it needs answers, too."""

from __future__ import annotations

import time
from typing import Any

import structlog
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse

from omi import providers
from omi.errors import ProviderError

log = structlog.get_logger(__name__)

_PROBE = "health/probe"


async def healthz(request: HttpRequest) -> JsonResponse:
    """Needs no thread and no store: a busy or cut-off process is still alive."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """503 with the names of what is out of reach; seconds each check took."""
    checks: dict[str, Any] = {}
    ready = True
    for name, check in (("database", _database), ("documents", _documents)):
        began = time.monotonic()
        try:
            check()
            checks[name] = {"ok": True}
        except (DatabaseError, ProviderError) as error:
            ready = False
            log.warning("not_ready", check=name, error=type(error).__name__)
            checks[name] = {"ok": False}
        checks[name]["seconds"] = round(time.monotonic() - began, 4)
    return JsonResponse({"status": "ok" if ready else "unavailable", "checks": checks}, status=200 if ready else 503)


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _documents() -> None:
    providers.one("documents").get(_PROBE)
