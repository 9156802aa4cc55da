"""The matrices of the users that this process searched last, kept true by counters in the database."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db import connections
from numpy.typing import NDArray

from omi.stores.models import LocalVector, VectorScope
from omi.stores.vectors.base import Filter, Match, Metadata
from omi.stores.vectors.filters import matches


@dataclass(slots=True)
class Scope:
    """One user's vectors in one namespace: unit rows of ``matrix`` belong to ``ids`` and ``metadata``."""

    version: int = -1
    ids: list[str] = field(default_factory=list)
    metadata: list[Metadata] = field(default_factory=list)
    matrix: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @property
    def size(self) -> int:
        return int(self.matrix.nbytes) + 500 * len(self.ids)


class ScopeCache:
    """Least recently used scopes up to ``limit`` bytes. A scope is replaced, never changed: readers need no lock."""

    def __init__(self, using: str, limit: int) -> None:
        self._using = using
        self._limit = limit
        self._scopes: OrderedDict[tuple[str, str], Scope] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, namespace: str, uid: str) -> Scope:
        state = VectorScope.objects.using(self._using).filter(namespace=namespace, uid=uid).first()
        if state is None:
            return Scope()
        with self._lock:
            kept = self._scopes.get((namespace, uid))
            if kept is not None and kept.version == state.version:
                self._scopes.move_to_end((namespace, uid))
                return kept
        if kept is None or kept.version > state.version:
            kept = Scope()  # a counter that went back: another database, or a restored one
        scope = self._refresh(kept, state, namespace, uid)
        if not connections[self._using].in_atomic_block:  # what is not committed may never have been
            self._keep((namespace, uid), scope)
        return scope

    def _refresh(self, kept: Scope, state: Any, namespace: str, uid: str) -> Scope:
        """Load what is newer than the kept state. Rows of a write that is newer still are harmless: read again."""
        rows = LocalVector.objects.using(self._using).filter(namespace=namespace, uid=uid)
        fresh: dict[str, tuple[Metadata, NDArray[np.float32]]] = {}
        for identity, metadata, values in (
            rows.filter(version__gt=kept.version).values_list("vector_id", "metadata", "values").iterator(2000)
        ):
            fresh[identity] = (metadata, np.frombuffer(bytes(values), dtype="<f4"))
        alive: set[str] | None = None
        if kept.ids and state.deletions > kept.version:
            alive = set(rows.values_list("vector_id", flat=True))
        keep = [
            index
            for index, identity in enumerate(kept.ids)
            if identity not in fresh and (alive is None or identity in alive)
        ]
        ids = [kept.ids[index] for index in keep] + list(fresh)
        metadata_of = [kept.metadata[index] for index in keep] + [item[0] for item in fresh.values()]
        parts = [kept.matrix[keep]] if keep else []
        if fresh:
            new = np.stack([item[1] for item in fresh.values()])
            parts.append(new / np.linalg.norm(new, axis=1, keepdims=True))
        matrix = np.ascontiguousarray(np.concatenate(parts)) if parts else np.zeros((0, 0), np.float32)
        return Scope(int(state.version), ids, metadata_of, matrix)

    def _keep(self, key: tuple[str, str], scope: Scope) -> None:
        with self._lock:
            self._scopes[key] = scope
            self._scopes.move_to_end(key)
            total = sum(item.size for item in self._scopes.values())
            while total > self._limit and len(self._scopes) > 1:
                _, dropped = self._scopes.popitem(last=False)
                total -= dropped.size


def best(scope: Scope, unit: NDArray[np.float32], top_k: int, rest: Filter) -> list[Match]:
    """The ``top_k`` nearest that match, best first, equal scores by id. Exact."""
    if not scope.ids:
        return []
    scores = scope.matrix @ unit
    if not rest:
        chosen = np.argpartition(-scores, top_k - 1)[:top_k] if top_k < len(scores) else np.arange(len(scores))
        # Whoever ties with the last one is in the race for its place.
        chosen = np.flatnonzero(scores >= scores[chosen].min())
    else:
        chosen = np.asarray(_matching(scope, scores, top_k, rest), dtype=np.int64)
    ranked = sorted((-float(scores[index]), scope.ids[index], index) for index in chosen)[:top_k]
    return [Match(identity, -score, scope.metadata[index]) for score, identity, index in ranked]


def _matching(scope: Scope, scores: NDArray[np.float32], top_k: int, rest: Filter) -> list[int]:
    """Walk from the best score downwards until enough match: a filter is evaluated only as often as needed."""
    chosen: list[int] = []
    last: float | None = None
    for index in np.argsort(-scores, kind="stable"):
        score = float(scores[index])
        if last is not None and score < last:
            break
        if matches(scope.metadata[index], rest):
            chosen.append(int(index))
            if len(chosen) == top_k:
                last = score
    return chosen
