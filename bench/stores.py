"""Speed of the stores: lists, single reads and search over the API's views, and exact vector search.

``python -m bench.stores`` (``make bench-stores``) measures the configured adapters (local by default; set DATABASE_URL,
OMI_DOCUMENTS, OMI_VECTORS and their emulators for others) in an empty data folder of its own. Requests go through the
whole middleware stack, routing, authentication and rendering in this process; only the socket is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

UID = "bench-user"
START = datetime(2024, 1, 1, tzinfo=UTC)


def main() -> int:
    options = arguments().parse_args()
    folder = tempfile.mkdtemp(prefix="omi-bench-stores-")
    os.environ.setdefault("OMI_DATA_DIR", folder)
    os.environ.setdefault("OMI_LOG_LEVEL", "ERROR")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omi.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    report: dict[str, Any] = {"adapters": adapters()}
    try:
        report["import"] = bulk_import(options.memories)
        report["api"] = api(options.memories, options.rounds)
        sizes = [int(size) for size in options.vectors.split(",")]
        report["vectors"] = [vector_search(size, options.dimension, options.rounds) for size in sizes]
        if options.table:
            report["vectors_in_a_full_table"] = full_table(options.table, options.dimension, options.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memories", type=int, default=100_000, help="memories of one user")
    parser.add_argument("--vectors", default="10000,100000", help="vectors of one user, comma list")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--table", type=int, default=0, help="vectors of all users in the table, e.g. 1000000 (3 GB)")
    parser.add_argument("--rounds", type=int, default=50)
    return parser


def adapters() -> dict[str, str]:
    from django.conf import settings

    return {
        "documents": settings.OMI_DOCUMENTS,
        "vectors": settings.OMI_VECTORS,
        "database": settings.DATABASES["default"]["ENGINE"].rsplit(".", 1)[1],
    }


def bulk_import(count: int) -> dict[str, Any]:
    """Through the port in batches of 500, as an importer would; the mirror rows are made with them."""
    from memories.mirror import memory_values
    from memories.models import MemoryRow
    from memories.repository.parsing import dump
    from omi.stores.documents import documents, path
    from omi.stores.documents.base import Write

    began = time.perf_counter()
    for part in chunks(count, 500):
        made = [memory(number) for number in part]
        documents().batch([Write("create", path("users", UID, "memories", item.id), dump(item)) for item in made])
        MemoryRow.objects.bulk_create(
            [MemoryRow(uid=UID, memory_id=item.id, **memory_values(item)) for item in made], batch_size=500
        )
    seconds = time.perf_counter() - began
    return {"memories": count, "seconds": round(seconds, 1), "per_second": round(count / seconds)}


def memory(number: int) -> Any:
    """About 3.5 kB as stored: ten segments of a talk."""
    from memories.shapes import Memory
    from transcription.segments import Segment

    segments = [
        Segment(id=f"{number}-{n}", text=f"words of memory {number} " * 6, start=n * 5.0, end=n * 5.0 + 4.5)
        for n in range(10)
    ]
    return Memory(
        id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))),
        created_at=START + timedelta(minutes=number),
        structured={"title": f"Talk number {number}", "overview": "What was said in it."},
        transcript_segments=segments,
        revision=1,
    )


def api(count: int, rounds: int) -> dict[str, Any]:
    from django.test import Client

    from omi.accounts import tokens

    client = Client(headers={"authorization": f"Bearer {tokens.mint(UID)}"}, SERVER_NAME="localhost")
    ids = [memory(int(number)).id for number in np.linspace(0, count - 1, rounds)]
    first = client.get("/v1/memories?limit=50")
    assert first.status_code == 200, first.content[:500]
    assert len(first.json()) == min(50, count)
    cursor = first.headers.get("X-Next-Cursor")
    deep = count // 2
    requests: dict[str, Callable[[int], str]] = {
        "list_50_newest": lambda turn: "/v1/memories?limit=50",
        "list_50_next_by_cursor": lambda turn: f"/v1/memories?limit=50&cursor={cursor}",
        f"list_50_at_offset_{deep}": lambda turn: f"/v1/memories?limit=50&offset={deep}",
        "get_one": lambda turn: f"/v1/memories/{ids[turn % len(ids)]}",
    }
    return {name: timed_request(client, url, rounds) for name, url in requests.items()}


def timed_request(client: Any, url: Callable[[int], str], rounds: int) -> dict[str, Any]:
    from unittest import mock

    from django.db.backends.utils import CursorWrapper

    counted: list[int] = []
    execute = CursorWrapper.execute

    def counting(self: Any, sql: str, params: Any = None) -> Any:
        counted.append(1)
        return execute(self, sql, params)

    with mock.patch.object(CursorWrapper, "execute", counting):  # whichever thread the view runs in
        answer = client.get(url(0))
    assert answer.status_code == 200, answer.content[:500]
    return {**timed(lambda turn: client.get(url(turn)).content, rounds), "queries": len(counted)}


def vector_search(count: int, dimension: int, rounds: int) -> dict[str, Any]:
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
    """One user of 10,000 among so many vectors of others in the same namespace."""
    from omi.stores.vectors import vectors

    store, space = vectors(), "bench-full"
    random = np.random.default_rng(2)
    for number in range(max(1, total // 10_000)):
        fill(f"u{number}", space, random.standard_normal((10_000, dimension)).astype(np.float32))
    queries = random.standard_normal((rounds, dimension))
    scope: dict[str, Any] = {"namespace": space, "top_k": 10, "filter": {"uid": "u0"}}
    cold = timed(lambda turn: store.query(queries[0].tolist(), **scope), 1)
    return {
        "vectors_of_all_users": total, "first_query_ms": cold["p50_ms"],
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


def chunks(count: int, size: int) -> Iterator[range]:
    for start in range(0, count, size):
        yield range(start, min(count, start + size))


def timed(work: Callable[[int], Any], rounds: int) -> dict[str, float]:
    times = []
    for turn in range(rounds):
        began = time.perf_counter()
        work(turn)
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return {"p50_ms": round(statistics.median(times), 2), "p99_ms": round(times[max(0, int(len(times) * 0.99) - 1)], 2)}


if __name__ == "__main__":
    raise SystemExit(main())
