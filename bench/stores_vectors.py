"""Vector search of one user, alone and among the vectors of many, against NumPy's bare matrix product."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bench.timing import chunks, timed


def of_one_user(count: int, dimension: int, rounds: int) -> dict[str, Any]:
    from omi.stores.vectors import vectors

    store, space, uid = vectors(), f"bench-{count}", "u"
    random = np.random.default_rng(1)
    matrix = random.standard_normal((count, dimension)).astype(np.float32)
    began = time.perf_counter()
    fill(uid, space, matrix)
    filled = time.perf_counter() - began
    queries = random.standard_normal((rounds, dimension))
    scope: dict[str, Any] = {"namespace": space, "top_k": 10, "filter": {"uid": uid}}
    cold = timed(lambda turn: store.query(queries[0].tolist(), **scope), 1)
    warm = timed(lambda turn: store.query(queries[turn].tolist(), **scope), rounds)
    ranged = {**scope, "filter": {"uid": uid, "created_at": {"$gte": count // 2}}}
    dated = timed(lambda turn: store.query(queries[turn].tolist(), **ranged), rounds)
    unit = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    right = sum(
        [match.id for match in store.query(query.tolist(), **scope)]
        == [f"{uid}-{index}" for index in np.argsort(-(unit @ (query / np.linalg.norm(query))))[:10]]
        for query in queries[:10].astype(np.float32)
    )
    bare = timed(lambda turn: np.argpartition(-(unit @ queries[turn].astype(np.float32)), 10)[:10], rounds)
    return {
        "vectors_of_the_user": count, "dimension": dimension, "upserts_per_second": round(count / filled),
        "first_query_ms": cold["p50_ms"], "query": warm, "query_with_dates": dated, "numpy_alone": bare,
        "same_as_numpy": f"{right}/10",
    }  # fmt: skip


def full_table(total: int, dimension: int, rounds: int) -> dict[str, Any]:
    """One user of 10,000 among so many vectors of others in the same namespace. Two minutes and 3 GB for a million."""
    from omi.stores.vectors import vectors

    store, space = vectors(), "bench-full"
    random = np.random.default_rng(2)
    own = random.standard_normal((10_000, dimension)).astype(np.float32)
    began = time.perf_counter()
    for number in range(max(1, total // 10_000)):
        fill(f"u{number}", space, np.roll(own, number, axis=0))  # other vectors of the same table, made quickly
    filled = time.perf_counter() - began
    queries = random.standard_normal((rounds, dimension))
    scope: dict[str, Any] = {"namespace": space, "top_k": 10, "filter": {"uid": "u0"}}
    cold = timed(lambda turn: store.query(queries[0].tolist(), **scope), 1)
    return {
        "vectors_of_all_users": store.count(namespace=space), "vectors_of_the_user": len(own),
        "upserts_per_second": round(total / filled), "first_query_ms": cold["p50_ms"],
        "query": timed(lambda turn: store.query(queries[turn].tolist(), **scope), rounds),
    }  # fmt: skip


def fill(uid: str, space: str, matrix: Any) -> None:
    from omi.stores.vectors import vectors
    from omi.stores.vectors.base import Vector

    for part in chunks(len(matrix), 1000):
        vectors().upsert(
            [Vector(f"{uid}-{n}", matrix[n], {"uid": uid, "memory_id": str(n), "created_at": n}) for n in part],
            namespace=space,
        )
