"""Content hashes: what makes a step's earlier result usable again."""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any


def of(value: Any) -> str:
    """SHA-256 of canonical JSON. Dates and other things become their text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def of_step(name: str, module: Any, ctx: Any) -> str:
    """Return the hash of everything that the result of a step depends on."""
    return of([name, getattr(module, "VERSION", 1), module.inputs(ctx)])


def pack(value: Any) -> tuple[str, bytes]:
    """Canonical JSON, its SHA-256 and its compressed form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str).encode()
    return hashlib.sha256(text).hexdigest(), zlib.compress(text, 6)


def unpack(body: bytes) -> Any:
    """Return the JSON value that ``pack`` compressed into these bytes."""
    return json.loads(zlib.decompress(bytes(body)))
