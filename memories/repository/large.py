"""Lists that may outgrow a document: inline while small, else compressed beside it; the reader does not notice.

Encodings that are read: a plain list (2024), zlib-compressed JSON as bytes (2025), its hexadecimal text, and our own
chunks. Written: a plain list, or chunks where the document would come near Firestore's 1 MiB.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

from omi.stores.documents.base import Data, Document, DocumentError, Unreadable
from omi.stores.documents.values import clean, document_size

__all__ = ["CHUNKS", "FIELD", "Torn", "Unreadable", "chunk_paths", "pack", "unpack"]

FIELD = "transcript_segments"
CHUNKS = "transcript_chunks"
"""Name of the field that tells of chunks, and of the sub-collection that holds them."""

INLINE_BYTES = 800_000
"""A document up to this size keeps its list inline: 200 kB of room under 1 MiB for what other writers add."""

PART_BYTES = 900_000
MAX_PARTS = 9
"""A transaction carries up to 10 MiB: some 40 MB of transcript as JSON."""

MAX_DECODED_BYTES = 64 * 1024 * 1024


class Torn(DocumentError):
    """The chunks belong to another state of the document than the one that was read: read again."""


def pack(path: str, data: Data, field: str = FIELD) -> tuple[Data, dict[str, Data]]:
    """The document to store at ``path`` and its chunks by their paths (none while it is small)."""
    data = clean(data)
    data.pop(f"{field}_compressed", None)
    if document_size(path, data) <= INLINE_BYTES or not data.get(field):
        return {**data, CHUNKS: None}, {}
    text = json.dumps(data[field], ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    packed = zlib.compress(text, 6)
    pieces = [packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES)]
    if len(text) > MAX_DECODED_BYTES or len(pieces) > MAX_PARTS:
        raise Unreadable("the list is too large to be stored")
    stamp = hashlib.sha256(packed).hexdigest()
    chunks = {f"{path}/{CHUNKS}/{number:03d}": {"stamp": stamp, "data": piece} for number, piece in enumerate(pieces)}
    return {**data, field: [], CHUNKS: {"parts": len(pieces), "stamp": stamp}}, chunks


def chunk_paths(path: str, data: Mapping[str, Any]) -> list[str]:
    """Return the paths of the chunks that a stored document names; raises Unreadable where it names too many."""
    told = data.get(CHUNKS)
    parts = int(told["parts"]) if isinstance(told, dict) else 0
    if parts > MAX_PARTS:
        raise Unreadable("the document tells of too many chunks")
    return [f"{path}/{CHUNKS}/{number:03d}" for number in range(parts)]


def unpack(path: str, data: Data, chunks: Mapping[str, Document], field: str = FIELD) -> Data:
    """The document with its list in place. Raises Unreadable, Torn."""
    names = chunk_paths(path, data)
    if names:
        value: Any = _join(data[CHUNKS]["stamp"], names, chunks)
    else:
        value = data.get(field)
    if isinstance(value, str):
        try:
            value = bytes.fromhex(value)
        except ValueError as error:
            raise Unreadable(f"{field} is encrypted") from error
    if isinstance(value, bytes):
        value = _decompress(value)
    if value is not None and not isinstance(value, list):
        raise Unreadable(f"{field} is not a list")
    rest = {key: item for key, item in data.items() if key not in {CHUNKS, f"{field}_compressed"}}
    return {**rest, field: value or []}


def _join(stamp: str, names: list[str], chunks: Mapping[str, Document]) -> bytes:
    found = [chunks.get(name) for name in names]
    pieces = [chunk.data["data"] for chunk in found if chunk is not None and chunk.data.get("stamp") == stamp]
    if len(pieces) != len(names):
        raise Torn("chunks of another state")
    return b"".join(pieces)


def _decompress(packed: bytes) -> Any:
    try:
        unzip = zlib.decompressobj()
        text = unzip.decompress(packed, MAX_DECODED_BYTES)
        if unzip.unconsumed_tail:
            raise Unreadable("the list is too large when unpacked")
        return json.loads(text)
    except (zlib.error, ValueError) as error:
        raise Unreadable("the list is damaged") from error
