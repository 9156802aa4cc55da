"""``documents()`` is the configured store; paths are made with ``path("users", uid, ...)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omi.core.providers import one
from omi.stores.documents.paths import path

if TYPE_CHECKING:
    from omi.stores.documents.base import Documents

__all__ = ["documents", "path"]


def documents() -> Documents:
    """Return the document store that ``settings.PROVIDERS`` names."""
    store: Documents = one("documents")
    return store
