"""Emotion timelines: ``users/{uid}/memories/{id}/emotions/{model}``; the original's ``hume`` rows are read, too."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from memories.repository import large, stored
from memories.repository.memories import memory_path, require_alive
from omi.accounts.erased import Fence
from omi.stores import damaged
from omi.stores.documents import documents
from omi.stores.documents.base import AlreadyExists, Data, Document, InvalidPath, OrderBy, Transaction

NEWEST = 3
"""Timelines that are looked at for one that can be read."""


def save_emotions(uid: str, memory_id: str, timeline: EmotionTimeline, *, fence: Fence | None = None) -> None:
    """Keep a timeline; one of the same vendor and model is replaced by it.

    ``fence`` is called inside of the transaction, which then raises MemoryNotFound where the memory is gone or deleted:
    nothing of an erased one comes back.
    """
    where, fields = document_of(uid, memory_id, timeline)

    def alive(transaction: Transaction) -> None:
        if fence is not None:
            fence()
            require_alive(transaction, uid, memory_id)

    try:
        stored.create(where, fields, before=alive)
    except AlreadyExists:
        stored.change(where, lambda current: (fields, None), before=alive)


def document_of(uid: str, memory_id: str, timeline: EmotionTimeline) -> tuple[str, Data]:
    """Return the path and the data of the document that keeps a timeline."""
    name = re.sub(r"[^a-z0-9_.\-]+", "_", f"{timeline.vendor}-{timeline.model}".lower()).strip("._") or "unnamed"
    data = timeline.model_dump(mode="python")
    # The spans travel under the name that the large-list encoding knows.
    fields = {**data, "created_at": datetime.now(UTC), large.FIELD: data.pop("spans")}
    fields.pop("spans", None)
    return f"{memory_path(uid, memory_id)}/emotions/{name}", fields


def load_emotions(uid: str, memory_id: str) -> EmotionTimeline | None:
    """The newest timeline, None where nothing was measured."""
    try:
        where = memory_path(uid, memory_id)
    except InvalidPath:
        return None
    newest = documents().query(f"{where}/emotions", order_by=[OrderBy("created_at", descending=True)], limit=NEWEST)
    for document in stored.read_all(newest):
        try:
            return EmotionTimeline.model_validate({**document.data, "spans": document.data.get(large.FIELD)})
        except (ValidationError, TypeError) as error:
            damaged.report(document.path, error)
    rows = documents().query(f"{where}/hume")
    return _legacy(rows) if rows else None


def _legacy(rows: list[Document]) -> EmotionTimeline:
    spans = []
    for row in rows:
        try:
            span = _span(row.data)
        except (ValueError, TypeError, KeyError) as error:
            damaged.report(row.path, error)
            continue
        if span is not None:
            spans.append(span)
    spans.sort(key=lambda span: (span.start, span.end))
    return EmotionTimeline(vendor="hume", model="prosody", kind="expression", spans=spans, note="measured in 2024")


def _span(data: dict[str, Any]) -> EmotionSpan | None:
    told = data.get("emotions")
    scores = json.loads(told) if isinstance(told, str) else told or []
    if "start" not in data or "end" not in data:
        return None
    return EmotionSpan(
        start=_finite(data["start"]),
        end=_finite(data["end"]),
        emotions=[EmotionScore(name=str(item["name"]).lower(), score=_finite(item["score"])) for item in scores],
    )


def _finite(value: Any) -> float:
    """Raises ValueError for what no JSON can hold."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number
