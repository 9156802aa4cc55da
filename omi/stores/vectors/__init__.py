"""Vectors: ``vectors()`` gives the configured store; the id and namespace rules live here and nowhere else."""

from __future__ import annotations

from typing import cast

from django.conf import settings

from omi import providers
from omi.stores.vectors.base import Filter, InvalidVector, Match, Metadata, Vector, Vectors

__all__ = [
    "Filter",
    "InvalidVector",
    "Match",
    "Metadata",
    "Vector",
    "Vectors",
    "namespace",
    "vector_id",
    "vectors",
]


def vectors() -> Vectors:
    return cast(Vectors, providers.one("vectors"))


def namespace() -> str:
    """The namespace of memories: ``ns1`` as in the original, so that an existing index can be read."""
    return str(settings.OMI_VECTOR_NAMESPACE)


def vector_id(uid: str, memory_id: str) -> str:
    """``{uid}-{memory_id}``: written and deleted under the same id (the original deleted under another)."""
    return f"{uid}-{memory_id}"
