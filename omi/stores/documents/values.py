"""What a document may hold, checked before either adapter writes it, so that both refuse the same things."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from omi.stores.documents.base import DELETE_FIELD, Data, InvalidData, TooLarge

MAX_DOCUMENT_BYTES = 1_048_576
"""Firestore's limit for one document (docs/reference/vendors.md), counted by ``document_size``."""

MAX_WRITES = 500
MAX_DEPTH = 20
_INT64 = 2**63
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RESERVED = re.compile(r"^__.*__$", re.DOTALL)


def clean(data: Mapping[str, Any]) -> Data:
    """A deep copy made only of None, bool, int, float, str, bytes, aware UTC datetime, list and dict."""
    return {_key(key): _clean(value, depth=1) for key, value in data.items()}


def clean_fields(fields: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Return ``update``'s fields with their dotted names taken apart. Raises InvalidData if one lies within another."""
    cleaned: dict[tuple[str, ...], Any] = {}
    for name, value in fields.items():
        parts = tuple(_key(part) for part in name.split("."))
        cleaned[parts] = value if value is DELETE_FIELD else _clean(value, depth=len(parts))
    if not cleaned:
        raise InvalidData("an update needs at least one field")
    for parts in cleaned:
        if any(parts[:length] in cleaned for length in range(1, len(parts))):
            raise InvalidData(f"the field {'.'.join(parts)} lies within another field of the same update")
    return cleaned


def apply_fields(data: Data, fields: Mapping[tuple[str, ...], Any]) -> Data:
    """The document after an update; ``data`` itself is not touched."""
    result: Data = _copy(data)
    for parts, value in fields.items():
        node = result
        for part in parts[:-1]:
            child = node.get(part)
            if not isinstance(child, dict):
                if value is DELETE_FIELD:
                    break
                child = node[part] = {}
            node = child
        else:
            if value is DELETE_FIELD:
                node.pop(parts[-1], None)
            else:
                node[parts[-1]] = value
    return result


def check_size(path: str, data: Data) -> None:
    """Make sure that a document has at most ``MAX_DOCUMENT_BYTES`` by Firestore's count; raises TooLarge."""
    size = document_size(path, data)
    if size > MAX_DOCUMENT_BYTES:
        raise TooLarge(f"a document may have {MAX_DOCUMENT_BYTES} bytes, this one has {size}")


def document_size(path: str, data: Data) -> int:
    """Bytes as Firestore counts them: name, 32, and for each field its name and value."""
    name = sum(len(part.encode()) + 1 for part in path.split("/")) + 16
    return name + 32 + _map_size(data)


def _map_size(data: Data) -> int:
    return sum(len(key.encode()) + 1 + _size(value) for key, value in data.items())


def _size(value: Any) -> int:
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, str):
        return (len(value) if value.isascii() else len(value.encode())) + 1
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, list):
        return sum(_size(item) for item in value)
    if isinstance(value, dict):
        return _map_size(value)
    return 8


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _key(key: Any) -> str:
    return _checked_key(key) if type(key) is str else _check_key(key)


def _check_key(key: Any) -> str:
    if not isinstance(key, str) or not key or _RESERVED.match(key):
        raise InvalidData("a field's name is a string that is not empty and not of the form __x__")
    if len(_text(key).encode()) > 1500:
        raise InvalidData("a field's name may have 1500 bytes")
    return key


_checked_key = lru_cache(maxsize=4096)(_check_key)
"""The same few names stand in every segment of a transcript."""


def _text(value: str) -> str:
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidData("text must be valid Unicode") from error
    return value


_PLAIN = frozenset({float, bool, bytes, type(None)})


def _clean(value: Any, *, depth: int, in_list: bool = False) -> Any:
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise InvalidData("an integer must fit in 64 bits")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidData("a datetime must know its time zone")
        value = value.astimezone(UTC)
        # A plain datetime, also where a client library gives a subclass of its own.
        return datetime.fromtimestamp(0, UTC) + (value - _EPOCH)
    if depth > MAX_DEPTH:
        raise InvalidData(f"maps and lists may be nested {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        return {_key(key): _clean(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        if in_list:
            raise InvalidData("a list directly within a list cannot be stored")
        return [_clean(item, depth=depth + 1, in_list=True) for item in value]
    raise InvalidData(f"a {type(value).__name__} cannot be stored in a document")
