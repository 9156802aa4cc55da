"""``vectors()`` is the configured store; ``namespace()`` the one in which memories are; ``vector_id`` the id rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from omi.core.providers import one

if TYPE_CHECKING:
    from omi.stores.vectors.base import Vectors

__all__ = ["namespace", "vector_id", "vectors"]


def vectors() -> Vectors:
    """Return the vector store that ``settings.PROVIDERS`` names."""
    store: Vectors = one("vectors")
    return store


def namespace() -> str:
    """Return the namespace in which the vectors of memories are (``OMI_VECTOR_NAMESPACE``)."""
    return str(settings.OMI_VECTOR_NAMESPACE)


def vector_id(uid: str, memory_id: str) -> str:
    """The original's rule, ``{uid}-{memory_id}``. Both parts stand in the metadata too: an id is never taken apart."""
    return f"{uid}-{memory_id}"
