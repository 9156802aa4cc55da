"""Between rows of ``LocalDocument`` and snapshots, and the sort key that SQL orders by."""

from __future__ import annotations

import struct
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from omi.stores.documents.base import Data, Document, Unreadable
from omi.stores.documents.codec import dump, load
from omi.stores.documents.paths import parent_of
from omi.stores.models import LocalDocument

INDEXED_FIELD = "created_at"
"""The field whose order SQL knows: every list of the app is 'newest first'."""

CHANGED = ("body", "facets", "created_key", "version", "updated_at")
"""Columns that a write of a document changes; its path, its collection and the time of its creation stay."""

MAX_FACET = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def snapshot(row: Any) -> Document:
    """Return a row as a document; raises Unreadable for a row whose text is no document."""
    try:
        data = load(row.body)
    except (ValueError, TypeError, RecursionError) as error:
        raise Unreadable(f"{row.path} is damaged") from error
    if not isinstance(data, dict):
        raise Unreadable(f"{row.path} is damaged")
    return Document(row.path, data, str(row.version), row.created_at, row.updated_at)


def one_of_many(row: Any) -> Document:
    """Return a row as a document, for readers of many: a damaged row is told as such and hides no other."""
    try:
        return snapshot(row)
    except Unreadable:
        created = _moment(row.created_key)
        data: Data = {} if created is None else {INDEXED_FIELD: created}
        return Document(row.path, data, str(row.version), row.created_at, row.updated_at, damaged=True)


def _moment(key: str) -> datetime | None:
    """The time of which ``sort_key`` made this."""
    if not key.startswith("4"):
        return None
    return datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=int(key[1:], 16))


def row_of(path: str, data: Data, current: Any | None) -> Any:
    """An unsaved row. Its version is a time that is later than that of the row which it replaces."""
    version = max(time.time_ns() // 1000, current.version + 1 if current else 0)
    now = _EPOCH + timedelta(microseconds=version)
    return LocalDocument(
        path=path,
        collection=parent_of(path),
        body=dump(data),
        facets=facets(data),
        created_key=sort_key(data[INDEXED_FIELD]) if INDEXED_FIELD in data else "",
        version=version,
        created_at=current.created_at if current else now,
        updated_at=now,
    )


def facets(data: Data) -> dict[str, Any]:
    """Return the fields by whose values SQL can narrow and order a query."""
    return {key: value for key, value in data.items() if is_facet(value) and "\x00" not in key}


def is_facet(value: Any) -> bool:
    """Whether a value is one of the values that mean the same to SQL's JSON functions as to us. PostgreSQL's jsonb
    cannot hold a NUL."""
    return isinstance(value, bool) or (isinstance(value, str) and len(value) <= MAX_FACET and "\x00" not in value)


def sort_key(value: Any) -> str:
    """Hexadecimal text that sorts as ``compare.order_key`` does (texts and bytes: by their first 64 bytes)."""
    if value is None:
        return "1"
    if isinstance(value, bool):
        return f"2{int(value)}"
    if isinstance(value, int | float):
        (bits,) = struct.unpack(">Q", struct.pack(">d", value + 0.0))
        return f"3{bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63):016x}"
    if isinstance(value, datetime):
        return f"4{(value - datetime.min.replace(tzinfo=UTC)) // timedelta(microseconds=1):016x}"
    if isinstance(value, str):
        return f"5{value.encode()[:64].hex()}"
    if isinstance(value, bytes):
        return f"6{value[:64].hex()}"
    return "7"
