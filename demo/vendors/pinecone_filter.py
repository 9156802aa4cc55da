"""Pinecone's metadata filter language and the limits on metadata."""

from __future__ import annotations

import json
from typing import Any


class BadRequest(ValueError):
    """A 400 of the data plane."""


def check_metadata(metadata: Any) -> None:
    """Strings, numbers, booleans and lists of strings only; 40 KB; no key starting with ``$``."""
    if not isinstance(metadata, dict):
        raise BadRequest("metadata must be an object")
    for key, value in metadata.items():
        if key.startswith("$"):
            raise BadRequest(f"metadata key {key} must not start with $")
        strings = isinstance(value, list) and all(isinstance(v, str) for v in value)
        if not strings and not isinstance(value, str | int | float | bool):
            said = f"Metadata value must be a string, number, boolean or list of strings, got {value!r} for field {key}"
            raise BadRequest(said)
    if len(json.dumps(metadata, ensure_ascii=False).encode()) > 40 * 1024:
        raise BadRequest("metadata size exceeds the limit of 40960 bytes per vector")


def _compare(field: Any, op: str, value: Any) -> bool:
    members = field if isinstance(field, list) else [field]
    if op == "$eq":
        return value in members
    if op == "$ne":
        return value not in members
    if op in ("$in", "$nin"):
        if not isinstance(value, list):
            raise BadRequest(f"the {op} operator must be followed by a list")
        return any(m in value for m in members) == (op == "$in")
    if op == "$exists":
        return (field is not None) == bool(value)
    if op not in ("$gt", "$gte", "$lt", "$lte"):
        raise BadRequest(f"{op} is not a valid operator")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequest(f"the {op} operator must be followed by a number")
    if isinstance(field, bool) or not isinstance(field, int | float):
        return False
    return {"$gt": field > value, "$gte": field >= value, "$lt": field < value, "$lte": field <= value}[op]


def matches(metadata: dict[str, Any] | None, condition: Any) -> bool:
    """Whether a record's metadata fits a filter. Raises BadRequest on a malformed filter."""
    if not isinstance(condition, dict):
        raise BadRequest("filter must be an object")
    results = []
    for key, value in condition.items():
        if key in ("$and", "$or"):
            if not isinstance(value, list) or not value:
                raise BadRequest(f"{key} must be followed by a non-empty list")
            parts = [matches(metadata, v) for v in value]
            results.append(all(parts) if key == "$and" else any(parts))
            continue
        if key.startswith("$"):
            raise BadRequest(f"{key} is not a valid operator at this place")
        tests = value if isinstance(value, dict) else {"$eq": value}
        field = (metadata or {}).get(key)
        results += [_compare(field, op, v) for op, v in tests.items()]
    return all(results)
