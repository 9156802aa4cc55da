"""Documents as JSON text that gives back every value: datetimes, bytes, floats that JSON lacks."""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any

from omi.stores.documents.base import Data

_DATE, _BYTES, _FLOAT = "$date", "$bytes", "$float"


def dump(data: Data) -> str:
    """A map whose keys start with ``$`` gets one more ``$``, so that it cannot be taken for an encoded value."""
    return json.dumps(_encode(data), ensure_ascii=False, separators=(",", ":"))


def load(text: str) -> Data:
    """Return the document that ``dump`` wrote as text; raises ValueError for damaged text."""
    data: Data = json.loads(text, object_hook=_decode)
    return data


def _encode(value: Any) -> Any:
    if isinstance(value, dict):
        return {f"${key}" if key.startswith("$") else key: _encode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encode(item) for item in value]
    if isinstance(value, datetime):
        return {_DATE: value.astimezone(UTC).isoformat()}
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return {_FLOAT: repr(value)}
    return value


def _decode(value: dict[str, Any]) -> Any:
    if len(value) == 1:
        ((key, item),) = value.items()
        if key == _DATE:
            return datetime.fromisoformat(item)
        if key == _BYTES:
            return base64.b64decode(item)
        if key == _FLOAT:
            return float(item)
    if "$" in "".join(value) and any(key.startswith("$") for key in value):  # a page reads ten thousand of these
        return {key[1:] if key.startswith("$") else key: item for key, item in value.items()}
    return value
