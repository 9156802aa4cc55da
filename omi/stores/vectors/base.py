"""The vectors port. Adapters: ``local`` (exact, in the database) and ``pinecone``.

Scores are cosine similarity, -1..1, larger is nearer. No caller may assume that it reads its own write: Pinecone is
eventually consistent. The contract is ``tests/contracts/test_vectors.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Metadata = dict[str, str | int | float | bool | list[str]]
Filter = Mapping[str, Any]
"""Pinecone's language: ``{"uid": "x", "created_at": {"$gte": 1.0}}``; $eq $ne $gt $gte $lt $lte $in $nin $and $or."""


class InvalidVector(ValueError):
    """Wrong dimension, all zeros, not finite, or an id that the store does not take (1-512 ASCII characters)."""


@dataclass(frozen=True, slots=True)
class Vector:
    """A vector with its id and the metadata by which it is filtered."""

    id: str
    values: Sequence[float]
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A vector that a query found, with its cosine as ``score``."""

    id: str
    score: float
    metadata: Metadata


class Vectors(Protocol):
    """The port of vector stores; each call names the namespace, and raises ProviderError or InvalidVector."""

    name: str

    def upsert(self, vectors: Sequence[Vector], *, namespace: str) -> None: ...

    def query(
        self, values: Sequence[float], *, namespace: str, top_k: int, filter: Filter | None = None
    ) -> list[Match]: ...

    def fetch(self, ids: Sequence[str], *, namespace: str) -> dict[str, Vector]: ...

    def delete(self, ids: Sequence[str], *, namespace: str) -> None: ...

    def delete_where(self, filter: Filter, *, namespace: str) -> None: ...

    def list_ids(self, *, prefix: str = "", namespace: str) -> Iterator[str]: ...

    def count(self, *, namespace: str) -> int: ...
