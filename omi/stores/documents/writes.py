"""A batch is checked whole before either adapter writes any of it."""

from __future__ import annotations

from collections.abc import Sequence

from omi.stores.documents.base import TooLarge, Write
from omi.stores.documents.paths import document_parts
from omi.stores.documents.values import MAX_WRITES, check_size, clean, clean_fields


def check_writes(writes: Sequence[Write]) -> None:
    """Raises TooLarge, InvalidPath, InvalidData."""
    if len(writes) > MAX_WRITES:
        raise TooLarge(f"a batch takes up to {MAX_WRITES} writes, not {len(writes)}")
    for write in writes:
        document_parts(write.path)
        if write.kind == "update":
            clean_fields(write.data or {})
        elif write.kind != "delete":
            check_size(write.path, clean(write.data or {}))
