"""Memories as JSON, and the conditional answers that save the app a download."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from rest_framework.request import Request
from rest_framework.response import Response

from memories.repository import listing
from memories.shapes import Memory
from transcription.segments import Segment

_SHOWN = ("id", "created_at", "started_at", "finished_at", "language", "structured", "photos", "visibility")
"""Fields of a memory that a stranger may see, besides what was said. Everything else has its default, whatever it is:
a field that is added tomorrow is not shown by forgetting it here."""


def as_json(document: BaseModel) -> dict[str, Any]:
    """Floats stay floats (``0.0``), instants are ISO 8601 with ``Z``: the app crashes on anything else."""
    return document.model_dump(mode="json")


def for_strangers(memory: Memory) -> dict[str, Any]:
    """A shared memory: what was said and made of it. Not where, how, by which run, what the owner set, or the names
    and ids of those who spoke."""
    events = [event.model_copy(update={"created": False}) for event in memory.structured.events]
    # The headings of a template are the user's own words.
    structured = memory.structured.model_copy(update={"events": events, "sections": [], "template": None})
    segments = [
        Segment(id=f"{number}", text=item.text, speaker=item.speaker, is_user=item.is_user,
                start=item.start, end=item.end)
        for number, item in enumerate(memory.transcript_segments)
    ]  # fmt: skip
    told = {name: getattr(memory, name) for name in _SHOWN} | {
        "structured": structured, "transcript_segments": segments,
    }  # fmt: skip
    shown = as_json(Memory(**told))
    if getattr(memory, listing.OMITTED, False):
        shown[listing.OMITTED] = True
    return shown


def etag(parts: Sequence[object]) -> str:
    """Return a weak ETag over the parts: equal parts give an equal one."""
    digest = hashlib.sha256("|".join(str(part) for part in parts).encode()).hexdigest()[:32]
    return f'W/"{digest}"'


def conditional(request: Request, tag: str, data: Any, headers: Mapping[str, str] | None = None) -> Response:
    """304 where the app already has this very answer."""
    answer_headers = {"ETag": tag, "Cache-Control": "private, no-cache", **(headers or {})}
    known = [item.strip() for item in request.headers.get("If-None-Match", "").split(",")]
    if tag in known or "*" in known:
        return Response(status=304, headers=answer_headers)
    return Response(data, headers=answer_headers)
