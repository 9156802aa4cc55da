"""Between stored documents and shapes: fills in what old documents lack, keeps what it does not know."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from memories.repository.large import FIELD, Unreadable
from memories.shapes import Memory, ProcessingMemory
from omi.stores.documents.base import Data, Document
from transcription.segments import Segment, segment_id


def memory_from(found: Document) -> Memory:
    """Return a stored document as a Memory; raises Unreadable where it is none."""
    memory: Memory = _parse(Memory, found)
    return memory


def processing_from(found: Document) -> ProcessingMemory:
    """Return a stored document as a ProcessingMemory; raises Unreadable where it is none."""
    processing: ProcessingMemory = _parse(ProcessingMemory, found)
    return processing


def segments_from(scope: str, values: list[Any]) -> list[Segment]:
    """Segments of old documents have no id: theirs is made from scope and position, the same on every read."""
    return [Segment.model_validate(item) for item in with_ids(scope, values)]


def with_ids(scope: str, values: list[Any]) -> list[Any]:
    """Return stored segments, those without an id with one that follows from ``scope`` and their place."""
    return [
        {**item, "id": item.get("id") or segment_id(scope, index)} if isinstance(item, dict) else item
        for index, item in enumerate(values)
    ]


def dump(shape: Memory | ProcessingMemory | Segment) -> Data:
    """Return a shape as the data of a document."""
    return shape.model_dump(mode="python")


def _parse(shape: Any, found: Document) -> Any:
    if found.damaged:
        raise Unreadable(f"{found.path} is damaged")
    data = {key: value for key, value in found.data.items() if value is not None}
    data["id"] = found.id
    data.setdefault("created_at", found.created_at)
    data[FIELD] = with_ids(found.id, data.get(FIELD) or [])
    try:
        return shape.model_validate(data)
    except (ValidationError, TypeError, ValueError) as error:
        raise Unreadable(f"{found.path} does not have the shape of a {shape.__name__}") from error
