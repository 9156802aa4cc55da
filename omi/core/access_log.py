"""Daphne's access log as lines of ours: JSON where all lines are JSON, readable where people read, without secrets."""

from __future__ import annotations

import sys
from typing import Any

import structlog

from omi.core.masking import address

log = structlog.get_logger(__name__)


def install() -> None:
    """Daphne writes its lines to standard output by itself; from now on they go where every other line goes."""
    if "daphne.server" not in sys.modules:
        return
    from daphne.access import AccessLogGenerator

    AccessLogGenerator.__call__ = _write


def _write(self: Any, protocol: str, action: str, details: dict[str, Any]) -> None:
    """Called by daphne for each answered request, and for each turn in a socket's life."""
    told = {"client": str(details.get("client") or ""), "path": address(str(details.get("path", "")))}
    if protocol == "http" and action == "complete":
        method, status, size = details.get("method"), details.get("status"), details.get("size")
        seconds = round(float(details.get("time_taken") or 0.0), 3)
        log.info("http", method=method, status=status, **told, bytes=size, seconds=seconds)
    elif protocol == "websocket":
        log.info("socket", action=action, **told)
