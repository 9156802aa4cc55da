"""Documents: ``documents()`` gives the configured store."""

from __future__ import annotations

from typing import cast

from omi import providers
from omi.stores.documents.base import (
    DELETE_FIELD,
    AlreadyExists,
    Document,
    DocumentError,
    Documents,
    InvalidPath,
    NotFound,
    OrderBy,
    TooLarge,
    Transaction,
    VersionConflict,
    Where,
    Write,
)

__all__ = [
    "DELETE_FIELD",
    "AlreadyExists",
    "Document",
    "DocumentError",
    "Documents",
    "InvalidPath",
    "NotFound",
    "OrderBy",
    "TooLarge",
    "Transaction",
    "VersionConflict",
    "Where",
    "Write",
    "documents",
]


def documents() -> Documents:
    return cast(Documents, providers.one("documents"))
