"""What of a step's stored values may be shown before anything is revealed: numbers, and words of ours."""

from __future__ import annotations

import json
from typing import Any, Final

OURS: Final = frozenset(
    {
        "accepted", "against", "audio", "code", "codec", "hash", "heard", "kind", "language", "message_id", "method",
        "model", "name", "outcome", "reasons", "reference", "scope", "sha256", "shown", "state", "submitted_at",
        "text_hash", "vendor", "version",
    }
)  # fmt: skip
"""Keys whose texts are ids, codes or sentences of this server."""
LONGEST: Final = 6000
"""Characters of JSON that are shown."""


def shown(value: Any, *, revealed: bool) -> str:
    """The value as indented JSON, cut off at ``LONGEST``; "" where there is nothing."""
    if value in (None, {}, [], ""):
        return ""
    text = json.dumps(value if revealed else _masked(value, ""), indent=2, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}\n… {len(text) - LONGEST} more characters"


def _masked(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _masked(item, str(name)) for name, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, key) for item in value[:50]] + ([f"… {len(value) - 50} more"] if len(value) > 50 else [])
    if isinstance(value, str) and value and key not in OURS:
        return f"•••• ({len(value)} characters)"
    return value
