"""Memories as JSON, and the conditional answers that save the app a download."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from memories.shapes import Memory

_ONLY_THE_OWNERS = {
    "geolocation",
    "edits",
    "recording",
    "accounting",
    "processing_memory_id",
    "external_data",
    "emotional_feedback",
}


def as_json(document: BaseModel) -> dict[str, Any]:
    """Floats stay floats (``0.0``), instants are ISO 8601 with ``Z``: the app crashes on anything else."""
    return document.model_dump(mode="json")


def for_strangers(memory: Memory) -> dict[str, Any]:
    """A shared memory: what was said and made of it, not where, how, or what the owner set."""
    shown = as_json(memory)
    empty: dict[str, Any] = {"edits": {}, "emotional_feedback": False}
    return shown | {name: empty.get(name) for name in _ONLY_THE_OWNERS if name in shown}


def etag(parts: Sequence[object]) -> str:
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()[:32]
    return f'W/"{digest}"'


def conditional(request: Request, tag: str, data: Any, headers: Mapping[str, str] | None = None) -> Response:
    """304 where the app already has this very answer."""
    answer_headers = {"ETag": tag, "Cache-Control": "private, no-cache", **(headers or {})}
    known = [item.strip() for item in request.headers.get("If-None-Match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status=304, headers=answer_headers)
    return Response(data, headers=answer_headers)
