"""The contract of the documents port: conditions, orders and pages, and what a path has below it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from omi.stores.documents.base import Document, Documents, InvalidData, OrderBy, Where

NOW = datetime(2026, 11, 22, 15, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def people(store: Documents, root: str) -> str:
    collection = f"{root}/people"
    rows: dict[str, dict[str, Any]] = {
        "ana": {"age": 30, "name": "Ana", "tags": ["x", "y"], "m": {"k": 1}, "created_at": NOW},
        "ben": {"age": 20, "name": "Ben", "tags": [], "m": {"k": 2}, "created_at": NOW + timedelta(seconds=1)},
        "cia": {"age": 25.5, "name": "Cia", "tags": ["y"], "created_at": NOW + timedelta(seconds=1)},
        "dan": {"age": None, "name": "Dan", "created_at": NOW - timedelta(days=1)},
        "eve": {"name": "eve", "age": "old"},
        "fay": {"age": True, "name": "Fay", "created_at": NOW - timedelta(microseconds=1)},
    }
    for identity, row in rows.items():
        store.create(f"{collection}/{identity}", row)
    store.create(f"{collection}/ana/below/zzz", {"age": 30})
    return collection


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ([], ["ana", "ben", "cia", "dan", "eve", "fay"]),
        ([Where("age", "==", 30)], ["ana"]),
        ([Where("age", "==", 30.0)], ["ana"]),
        ([Where("age", "==", None)], ["dan"]),
        ([Where("age", "==", True)], ["fay"]),
        ([Where("name", "==", "eve")], ["eve"]),
        ([Where("age", ">", 20)], ["cia", "ana"]),
        ([Where("age", ">=", 20), Where("age", "<", 30)], ["ben", "cia"]),
        ([Where("age", "!=", 30)], ["fay", "ben", "cia", "eve"]),
        ([Where("age", "!=", None)], ["fay", "ben", "cia", "ana", "eve"]),
        ([Where("age", "in", [30, "old", 99])], ["ana", "eve"]),
        ([Where("name", ">=", "C")], ["cia", "dan", "fay", "eve"]),
        ([Where("tags", "array_contains", "y")], ["ana", "cia"]),
        ([Where("m.k", "==", 2)], ["ben"]),
        ([Where("m", "==", {"k": 1})], ["ana"]),
        ([Where("created_at", ">", NOW)], ["ben", "cia"]),
        ([Where("created_at", "<=", NOW)], ["dan", "fay", "ana"]),
        ([Where("missing", "==", 1)], []),
        ([Where("missing", "!=", 1)], []),
        ([Where("name", "==", "Ana"), Where("age", "==", 30)], ["ana"]),
        ([Where("name", "==", "Ana"), Where("age", "==", 31)], []),
    ],
)
def test_conditions(store: Documents, people: str, where: list[Where], expected: list[str]) -> None:
    assert [item.id for item in store.query(people, where=where)] == expected
    assert store.count(people, where=where) == len(expected)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([OrderBy("age")], ["dan", "fay", "ben", "cia", "ana", "eve"]),
        ([OrderBy("age", True)], ["eve", "ana", "cia", "ben", "fay", "dan"]),
        ([OrderBy("created_at", True)], ["cia", "ben", "ana", "fay", "dan"]),
        ([OrderBy("created_at")], ["dan", "fay", "ana", "ben", "cia"]),
        ([OrderBy("created_at", True), OrderBy("age")], ["ben", "cia", "ana", "fay", "dan"]),
        ([OrderBy("name")], ["ana", "ben", "cia", "dan", "fay", "eve"]),
        ([OrderBy("m.k", True)], ["ben", "ana"]),
    ],
)
def test_order_and_pages(store: Documents, people: str, order: list[OrderBy], expected: list[str]) -> None:
    """A document without the field is left out; equal ones are in order of their ids, in the last direction."""
    assert [item.id for item in store.query(people, order_by=order)] == expected
    assert [item.id for item in store.query(people, order_by=order, limit=2, offset=1)] == expected[1:3]
    assert store.query(people, order_by=order, limit=0) == []
    walked: list[str] = []
    last: Document | None = None
    for _ in range(10):
        page = store.query(people, order_by=order, limit=2, start_after=last)
        walked += [item.id for item in page]
        if len(page) < 2:
            break
        last = page[-1]
    assert walked == expected


def test_a_page_goes_on_after_a_document_that_is_gone(store: Documents, people: str) -> None:
    order = [OrderBy("created_at", True)]
    first = store.query(people, order_by=order, limit=2)
    store.delete(first[-1].path)
    assert [item.id for item in store.query(people, order_by=order, start_after=first[-1])] == ["ana", "fay", "dan"]


def test_pages_without_an_order_go_by_id(store: Documents, people: str) -> None:
    first = store.query(people, limit=4)
    assert [item.id for item in store.query(people, start_after=first[-1])] == ["eve", "fay"]


def test_newest_first_with_conditions(store: Documents, root: str) -> None:
    """The list of the app: the twin answers it in SQL, so it is compared here in particular."""
    for number in range(30):
        store.create(
            f"{root}/memories/{number:02d}",
            {
                "created_at": NOW + timedelta(seconds=number % 7),
                "deleted": number % 3 == 0,
                "discarded": number % 2 == 0,
            },
        )
    where = [Where("deleted", "==", False), Where("discarded", "==", False)]
    order = [OrderBy("created_at", True)]
    found = store.query(f"{root}/memories", where=where, order_by=order)
    keys = [(item.data["created_at"], item.id) for item in found]
    assert keys == sorted(keys, reverse=True)
    assert len(keys) == 10
    page = store.query(f"{root}/memories", where=where, order_by=order, limit=3, start_after=found[3])
    assert [item.id for item in page] == [item.id for item in found[4:7]]
    page = store.query(f"{root}/memories", where=where, order_by=order, limit=3, offset=4)
    assert [item.id for item in page] == [item.id for item in found[4:7]]


@pytest.mark.parametrize(
    "where",
    [[Where("a", "in", [])], [Where("a", "in", list(range(31)))], [Where("a", "<", None)],
     [Where("a", "!=", 1), Where("b", "!=", 1)]],
)  # fmt: skip
def test_a_query_that_firestore_refuses_is_refused_by_all(store: Documents, root: str, where: list[Where]) -> None:
    with pytest.raises(InvalidData):
        store.query(f"{root}/x", where=where)


def test_ids_and_collections_know_parents_that_do_not_exist(store: Documents, root: str) -> None:
    store.create(f"{root}/a/missing/b/1", {"x": 1})
    store.create(f"{root}/a/there", {"x": 1})
    assert store.document_ids(f"{root}/a") == ["missing", "there"]
    assert store.collections(root) == ["a"]
    assert store.collections(f"{root}/a/missing") == ["b"]
    assert store.collections(f"{root}/a/there") == []
    assert [item.id for item in store.query(f"{root}/a")] == ["there"]
