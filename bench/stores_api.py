"""The API of a user who has many memories, over HTTP: latency from outside, statements and store reads from inside."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from bench.timing import chunks, timed

ROOT = Path(__file__).resolve().parents[1]
UID = "bench-user"
START = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = [f"word{number}" for number in range(5000)]
WEIGHTS = list(itertools.accumulate(1 / (number + 1) for number in range(len(WORDS))))
"""As in real talk, the n-th most frequent word comes with a probability of 1/n."""
QUERIES = {"search_common_words": "word3 word7", "search_rare_word": "word4711", "search_no_word": "hello there"}


def bulk_import(count: int) -> dict[str, Any]:
    """Through the ports in batches, as an importer would: documents, mirror rows, the word index, vectors."""
    from memories.mirror.rows import memory_values
    from memories.models import MemoryRow
    from memories.repository.parsing import dump
    from memories.search import word_rows
    from omi.stores.documents import documents, path
    from omi.stores.documents.base import Write
    from omi.stores.vectors import namespace, vector_id, vectors
    from omi.stores.vectors.base import Vector

    spent: Counter[str] = Counter()
    numbers = np.random.default_rng(3)

    @contextlib.contextmanager
    def clock(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        spent[name] += time.perf_counter() - began  # type: ignore[assignment]

    for part in chunks(count, 500):
        made = [memory(number) for number in part]
        with clock("documents"):
            documents().batch([Write("create", path("users", UID, "memories", item.id), dump(item)) for item in made])
        with clock("rows"):
            rows = [MemoryRow(uid=UID, memory_id=item.id, **memory_values(item), words_stale=False) for item in made]
            MemoryRow.objects.bulk_create(rows, batch_size=500)
        with clock("word_index"):
            word_rows.index(UID, made)
        values = numbers.standard_normal((len(made), 384)).astype(np.float32)
        with clock("vectors"):
            vectors().upsert(
                [
                    Vector(
                        vector_id(UID, item.id),
                        value,
                        {"uid": UID, "memory_id": item.id, "created_at": int(item.created_at.timestamp())},
                    )
                    for item, value in zip(made, values, strict=True)
                ],
                namespace=namespace(),
            )
    return {
        "memories": count,
        "per_second": round(count / sum(spent.values())),
        **{f"{name}_per_second": round(count / seconds) for name, seconds in spent.items()},
    }


def memory(number: int) -> Any:
    """About 3.5 kB as stored: ten segments of a talk, 120 words."""
    from memories.shapes import Memory
    from transcription.segments import Segment

    chance = random.Random(number)
    segments = [
        Segment(
            id=f"{number}-{n}",
            text=" ".join(chance.choices(WORDS, cum_weights=WEIGHTS, k=12)),
            start=n * 5.0,
            end=n * 5.0 + 4.5,
        )
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
    import httpx
    from django.test import Client

    from omi.accounts import tokens

    headers = {"authorization": f"Bearer {tokens.mint(UID)}"}
    inside = Client(headers=headers, SERVER_NAME="localhost")
    ids = [memory(int(number)).id for number in np.linspace(0, count - 1, rounds)]
    first = inside.get("/v1/memories?limit=50")
    assert first.status_code == 200, first.content[:500]
    assert len(first.json()) == min(50, count)
    cursor, tag = first.headers.get("X-Next-Cursor"), first.headers["ETag"]
    deep = count // 2
    lists: dict[str, tuple[Callable[[int], str], dict[str, str]]] = {
        "list_50_newest": (lambda turn: "/v1/memories?limit=50", {}),
        "list_50_not_modified": (lambda turn: "/v1/memories?limit=50", {"if-none-match": tag}),
        "list_50_next_by_cursor": (lambda turn: f"/v1/memories?limit=50&cursor={cursor}", {}),
        f"list_50_at_offset_{deep}": (lambda turn: f"/v1/memories?limit=50&offset={deep}", {}),
        "get_one": (lambda turn: f"/v1/memories/{ids[turn % len(ids)]}", {}),
    }
    report: dict[str, Any] = {}
    with server() as base, httpx.Client(base_url=base, headers=headers, timeout=120) as outside:
        for name, (url, more) in lists.items():
            ask = functools.partial(_get, outside, url, more)
            ask(0)
            report[name] = {
                **timed(ask, rounds),
                **counted(functools.partial(inside.get, url(0), headers=more)),
            }
        for name, query in QUERIES.items():
            body = {"query": query, "limit": 10}
            search = functools.partial(_search, outside, body)
            search(0)  # loads the model and this user's vectors
            again = functools.partial(inside.post, "/v1/memories/search", body, content_type="application/json")
            again()
            report[name] = {**timed(search, max(10, rounds // 5)), **counted(again)}
    return report


def _get_inside(client: Any, url: Callable[[int], str], headers: dict[str, str]) -> Any:
    return client.get(url(0), headers=headers)


def _get(client: Any, url: Callable[[int], str], headers: dict[str, str], turn: int) -> None:
    answer = client.get(url(turn), headers=headers)
    assert answer.status_code == (304 if headers else 200), answer.text[:500]


def _search(client: Any, body: dict[str, Any], turn: int) -> None:
    answer = client.post("/v1/memories/search", json=body)
    assert answer.status_code == 200, answer.text[:500]
    assert len(answer.json()["hits"]) <= 10


def counted(ask: Callable[[], Any]) -> dict[str, int]:
    """``queries``: statements of SQL. ``store_reads``: calls of the documents and vectors ports that reach a store."""
    from django.db.backends.utils import CursorWrapper

    from omi.stores.documents import documents
    from omi.stores.vectors import vectors

    seen: Counter[str] = Counter()
    execute = CursorWrapper.execute

    def counting(self: Any, sql: str, params: Any = None) -> Any:
        seen["queries"] += 1
        return execute(self, sql, params)

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            seen["store_reads"] += 1
            return method(*args, **named)

        return call

    with contextlib.ExitStack() as stack:  # whichever thread the view runs in
        stack.enter_context(mock.patch.object(CursorWrapper, "execute", counting))
        for store, names in ((documents(), ("get", "get_many", "query")), (vectors(), ("query", "fetch"))):
            for name in names:
                stack.enter_context(mock.patch.object(store, name, watched(getattr(store, name))))
        answer = ask()
    assert answer.status_code in (200, 304), answer.content[:500]
    return {"queries": seen["queries"], "store_reads": seen["store_reads"]}


@contextlib.contextmanager
def server() -> Iterator[str]:
    """The web process as ``manage.py serve`` starts it, on the same stores."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "omi.asgi:application"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the server does not start") from None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
