"""The local twin of Pinecone: float32 rows in the Django database, searched exactly (recall 1.0) within one user.

A process keeps the matrices of the users it searched last, checked on every query against the user's counter in the
database, so that several processes always see each other's writes. A search costs one small query and one matrix
product; a query that names no user reads the whole namespace.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction
from django.db.utils import InterfaceError

from omi.core.batches import batches
from omi.core.errors import ErrorKind, StoreError
from omi.stores import models
from omi.stores.vectors.base import Filter, InvalidVector, Match, Vector
from omi.stores.vectors.check import check_id, check_top_k, check_values, check_vector
from omi.stores.vectors.filters import check_filter, matches, split_uid
from omi.stores.vectors.local_cache import ScopeCache, best

CHUNK = 500
"""Rows per SQL statement, below SQLite's limit on variables."""

BATCH = 100
"""Vectors per INSERT: seven variables each."""

# Text: the ORM has no UPDATE ... RETURNING, and reading the new version must be one step with locking its row.
_LATER = "CASE WHEN version >= %s THEN version + 1 ELSE %s END"
_NEXT = f"UPDATE stores_vectorscope SET version = {_LATER} WHERE namespace = %s AND uid = %s RETURNING version"  # noqa: S608
_NEXT_DELETION = _NEXT.replace("SET", f"SET deletions = {_LATER},")


class LocalVectors:
    """The vector store in the Django database, which compares with every vector."""

    name = "local"

    def __init__(self, using: str = DEFAULT_DB_ALIAS, cache_bytes: int = 256 * 1024 * 1024) -> None:
        self._using = using
        self._cache = ScopeCache(using, cache_bytes)

    def upsert(self, vectors: Sequence[Vector], *, namespace: str) -> None:
        if not vectors:
            return
        unique = {vector.id: vector for vector in vectors}
        with _mapped(), transaction.atomic(using=self._using):
            dimension = self._dimension(namespace) or len(vectors[0].values)
            arrays = {vector.id: check_vector(vector, dimension) for vector in vectors}
            self._detach(unique, namespace)
            by_uid: dict[str, list[Vector]] = {}
            for vector in unique.values():
                by_uid.setdefault(_uid_of(vector), []).append(vector)
            for uid, group in sorted(by_uid.items()):
                version = self._bump(namespace, uid, deletion=False)
                made = [
                    self._model("LocalVector")(
                        namespace=namespace,
                        vector_id=vector.id,
                        uid=uid,
                        version=version,
                        dimension=dimension,
                        values=arrays[vector.id].astype("<f4").tobytes(),
                        metadata=vector.metadata,
                    )
                    for vector in group
                ]
                self._rows().bulk_create(
                    made,
                    batch_size=BATCH,
                    update_conflicts=True,
                    unique_fields=["namespace", "vector_id"],
                    update_fields=["uid", "version", "dimension", "values", "metadata"],
                )

    def query(
        self, values: Sequence[float], *, namespace: str, top_k: int, filter: Filter | None = None
    ) -> list[Match]:
        check_top_k(top_k)
        if filter is not None:
            check_filter(filter)
        uid, rest = split_uid(filter)
        with _mapped():
            scope = self._cache.get(namespace, uid) if uid is not None else None
            known = scope.matrix.shape[1] if scope is not None and scope.ids else self._dimension(namespace)
            array = check_values(values, known)
            array = array / np.linalg.norm(array)
            if scope is not None:
                return best(scope, array, top_k, rest)
            return self._scan(namespace, array, top_k, rest)

    def fetch(self, ids: Sequence[str], *, namespace: str) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        with _mapped():
            for part in batches(ids, CHUNK):
                for row in self._rows().filter(namespace=namespace, vector_id__in=part):
                    values = np.frombuffer(bytes(row.values), dtype="<f4").tolist()
                    found[row.vector_id] = Vector(row.vector_id, values, row.metadata)
        return found

    def delete(self, ids: Sequence[str], *, namespace: str) -> None:
        for identity in ids:
            check_id(identity)
        with _mapped(), transaction.atomic(using=self._using):
            for part in batches(ids, CHUNK):
                self._remove(self._rows().filter(namespace=namespace, vector_id__in=part), namespace)

    def delete_where(self, filter: Filter, *, namespace: str) -> None:
        check_filter(filter)
        uid, rest = split_uid(filter)
        with _mapped(), transaction.atomic(using=self._using):
            found = self._rows().filter(namespace=namespace)
            if uid is not None:
                found = found.filter(uid=uid)
            if not rest:
                self._remove(found, namespace)
                return
            doomed = [row.pk for row in found.defer("values").iterator() if matches(row.metadata, rest)]
            for part in batches(doomed, CHUNK):
                self._remove(self._rows().filter(pk__in=part), namespace)

    def list_ids(self, *, prefix: str = "", namespace: str) -> Iterator[str]:
        last = ""
        while True:
            with _mapped():
                later = self._rows().filter(namespace=namespace, vector_id__gt=last, vector_id__gte=prefix)
                page = list(later.order_by("vector_id").values_list("vector_id", flat=True)[:CHUNK])
            for identity in page:
                if not identity.startswith(prefix):
                    return
                yield identity
            if len(page) < CHUNK:
                return
            last = page[-1]

    def count(self, *, namespace: str) -> int:
        with _mapped():
            return int(self._rows().filter(namespace=namespace).count())

    # --- inside

    def _model(self, name: str) -> Any:
        return getattr(models, name)

    def _rows(self) -> Any:
        return self._model("LocalVector").objects.using(self._using)

    def _dimension(self, namespace: str) -> int | None:
        # Any row will do: first() would sort, and read the whole namespace for it.
        found = self._rows().filter(namespace=namespace).order_by().values_list("dimension", flat=True)[:1]
        return next(iter(found), None)

    def _bump(self, namespace: str, uid: str, *, deletion: bool) -> int:
        """The next version of a scope. Its row stays locked until the transaction ends: writers of a user queue."""
        version = self._next(namespace, uid, deletion)
        while version is None:  # none yet, or gone with the user's last vector a moment ago
            self._model("VectorScope").objects.using(self._using).get_or_create(namespace=namespace, uid=uid)
            # As after a deletion: a process may remember the scope that was here before.
            version = self._next(namespace, uid, True)
        return version

    def _next(self, namespace: str, uid: str, deletion: bool) -> int | None:
        # Times, not 1, 2, 3: a counter that was rolled back never comes again with other rows.
        now = time.time_ns() // 1000
        with connections[self._using].cursor() as cursor:
            cursor.execute(_NEXT_DELETION if deletion else _NEXT, [now, now] * (1 + deletion) + [namespace, uid])
            found = cursor.fetchone()
        return int(found[0]) if found else None

    def _detach(self, vectors: dict[str, Vector], namespace: str) -> None:
        """An id that moves to another user must leave the first one's matrix."""
        for part in batches(vectors, CHUNK):
            known = self._rows().filter(namespace=namespace, vector_id__in=part).values_list("vector_id", "uid")
            moved = [identity for identity, uid in known if uid != _uid_of(vectors[identity])]
            if moved:
                self._remove(self._rows().filter(namespace=namespace, vector_id__in=moved), namespace)

    def _remove(self, doomed: Any, namespace: str) -> None:
        uids = sorted(set(doomed.order_by().values_list("uid", flat=True).distinct()))
        for uid in uids:
            self._bump(namespace, uid, deletion=True)
        doomed.delete()
        for uid in uids:  # of a user without vectors nothing stays
            if not self._rows().filter(namespace=namespace, uid=uid).exists():
                self._model("VectorScope").objects.using(self._using).filter(namespace=namespace, uid=uid).delete()

    def _scan(self, namespace: str, array: Any, top_k: int, rest: Filter) -> list[Match]:
        found: list[tuple[float, str, Match]] = []
        for row in self._rows().filter(namespace=namespace).iterator(chunk_size=CHUNK):
            if rest and not matches(row.metadata, rest):
                continue
            values = np.frombuffer(bytes(row.values), dtype="<f4")
            score = float(values @ array / np.linalg.norm(values))
            found.append((-score, row.vector_id, Match(row.vector_id, score, row.metadata)))
            if len(found) > 4 * top_k + CHUNK:
                found = heapq.nsmallest(top_k, found, key=lambda item: item[:2])
        return [match for _, _, match in heapq.nsmallest(top_k, found, key=lambda item: item[:2])]


def _uid_of(vector: Vector) -> str:
    uid = vector.metadata.get("uid", "")
    if not isinstance(uid, str):
        raise InvalidVector("metadata uid is text")
    return uid


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StoreError(
            "local vectors", "the database is out of reach", kind=ErrorKind.TRANSIENT, code=type(error).__name__
        ) from error
