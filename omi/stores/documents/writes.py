"""A batch is checked whole before either adapter writes any of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from omi.stores.documents.base import TooLarge, Write
from omi.stores.documents.paths import document_parts
from omi.stores.documents.values import MAX_WRITES, check_size, clean, clean_fields


def checked(writes: Sequence[Write]) -> list[Write]:
    """The writes with cleaned data (fields of an update are left as they are). TooLarge, InvalidPath, InvalidData."""
    if len(writes) > MAX_WRITES:
        raise TooLarge(f"a batch takes up to {MAX_WRITES} writes, not {len(writes)}")
    found = []
    for write in writes:
        document_parts(write.path)
        if write.kind == "update":
            clean_fields(write.data or {})
        elif write.kind != "delete":
            write = replace(write, data=clean(write.data or {}))
            check_size(write.path, write.data or {})
        found.append(write)
    return found
