"""Secrets do not stand in logs: whatever looks like a token is masked in every line, ours or another package's.

Addresses are the usual way in: a token in a query string, a link that opens a recording by itself.
"""

from __future__ import annotations

import re
from typing import Any

MASK = "***"

_SECRETS = (
    # A value in a query string, whatever its name: /listen?token=... ; names stay, they say what was asked.
    (re.compile(r"([?&][\w.\-\[\]]{1,64}=)[^&\s\"'<>]+"), rf"\1{MASK}"),
    # What Django signs (development tokens, links to recordings): payload, time, signature.
    (re.compile(r"[\w\-.]{6,}:[\w\-]{4,12}:[\w\-]{20,}"), MASK),
    # A link that is its own permission: what somebody shared, the calendar feed of the tasks.
    (re.compile(r"(/v1/(?:shared|action-items/feed)/)[^/\s?\"'<>]+"), rf"\1{MASK}"),
    # A JSON web token, as Firebase gives it.
    (re.compile(r"\beyJ[\w\-]{8,}\.[\w\-]{8,}\.?[\w\-]*"), MASK),
    (re.compile(r"(?i)\b(bearer|basic|key)\s+[\w\-.~+/=:]{12,}"), rf"\1 {MASK}"),
)


def masked(text: str) -> str:
    """Return a text in which everything that looks like a secret is masked."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def scrub(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A processor of structlog's, right before the line is written."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = masked(value)
    return event


def address(path: str) -> str:
    """A request's path with its query, for the access log."""
    return masked(path)[:500]
