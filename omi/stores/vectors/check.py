"""What a vectors store takes, checked alike by every adapter (the limits are Pinecone's, docs/reference/vendors.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omi.stores.vectors.base import InvalidVector, Metadata, Vector

MAX_ID = 512
MAX_TOP_K = 10_000
MAX_METADATA_BYTES = 40 * 1024


def check_id(identity: str) -> None:
    """Make sure that a vector's id has 1 to ``MAX_ID`` ASCII characters; raises InvalidVector."""
    if not isinstance(identity, str) or not 1 <= len(identity) <= MAX_ID:
        raise InvalidVector(f"an id has 1 to {MAX_ID} characters")
    if not identity.isascii() or "\x00" in identity:
        raise InvalidVector("an id is ASCII without NUL")


def check_values(values: Sequence[float], dimension: int | None = None) -> NDArray[np.float32]:
    """Return the values as float32 of shape (dimension,), finite and not all zeros; raises InvalidVector."""
    try:
        with np.errstate(over="ignore"):  # becomes infinite, and is refused as such
            array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidVector("a vector is a list of numbers") from error
    if array.ndim != 1 or not array.size:
        raise InvalidVector("a vector is one row of numbers that is not empty")
    if dimension is not None and array.size != dimension:
        raise InvalidVector(f"the store holds vectors of dimension {dimension}, not {array.size}")
    if not np.isfinite(array).all():
        raise InvalidVector("a vector's numbers are finite")
    if not array.any():
        raise InvalidVector("a vector of zeros has no direction")
    return array


def check_vector(vector: Vector, dimension: int | None = None) -> NDArray[np.float32]:
    """Check a vector's id and metadata, and return its values as ``check_values`` does; raises InvalidVector."""
    check_id(vector.id)
    check_metadata(vector.metadata)
    return check_values(vector.values, dimension)


def check_metadata(metadata: Metadata) -> None:
    """Make sure that metadata is text, numbers, booleans, lists of texts, and small enough; raises InvalidVector."""
    for key, value in metadata.items():
        if not isinstance(key, str) or not key or key.startswith("$"):
            raise InvalidVector("a metadata key is a string that does not start with $")
        if not isinstance(value, str | bool | int | float) and not _texts(value):
            raise InvalidVector(f"metadata {key!r} is text, a number, a boolean or a list of texts")
    if len(json.dumps(metadata).encode()) > MAX_METADATA_BYTES:
        raise InvalidVector(f"metadata may have {MAX_METADATA_BYTES} bytes")


def check_top_k(top_k: int) -> None:
    """Make sure that a query asks for 1 to ``MAX_TOP_K`` results; raises InvalidVector."""
    if not 1 <= top_k <= MAX_TOP_K:
        raise InvalidVector(f"top_k is 1 to {MAX_TOP_K}")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
