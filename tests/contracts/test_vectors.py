"""The contract of the vectors port: the local twin on SQLite and PostgreSQL, Pinecone on a simulated index.

Here: what every adapter does and refuses. What only one of them is asked has a file of its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from omi.stores.vectors.base import InvalidVector, Vector, Vectors
from tests.contracts.vectors import DIMENSION, ids, record, unit

# --- writing and reading


def test_what_was_written_is_fetched(vectors: Vectors, space: str) -> None:
    vectors.upsert(
        [record("u", "m", unit(0.25, -1.5), created_at=1700000000.5, tags=["a", "b"], ok=True)], namespace=space
    )
    found = vectors.fetch(["u-m", "u-absent"], namespace=space)
    assert list(found) == ["u-m"]
    assert np.allclose(found["u-m"].values, unit(0.25, -1.5), atol=1e-6)
    assert found["u-m"].metadata == {
        "uid": "u", "memory_id": "m", "created_at": 1700000000.5, "tags": ["a", "b"], "ok": True,
    }  # fmt: skip


def test_an_id_written_again_is_replaced_not_doubled(vectors: Vectors, space: str) -> None:
    vectors.upsert([record("u", "m", unit(1), created_at=1)], namespace=space)
    vectors.upsert([record("u", "m", unit(0, 1), created_at=2), record("u", "m", unit(0, 0, 1))], namespace=space)
    assert vectors.count(namespace=space) == 1
    assert vectors.fetch(["u-m"], namespace=space)["u-m"].metadata == {"uid": "u", "memory_id": "m"}
    (match,) = vectors.query(unit(0, 0, 1), namespace=space, top_k=5, filter={"uid": "u"})
    assert match.score == pytest.approx(1.0, abs=1e-5)


def test_an_id_that_moves_to_another_user_leaves_the_first(vectors: Vectors, space: str) -> None:
    vectors.upsert([Vector("x", unit(1), {"uid": "a"})], namespace=space)
    assert ids(vectors.query(unit(1), namespace=space, top_k=5, filter={"uid": "a"})) == ["x"]
    vectors.upsert([Vector("x", unit(1), {"uid": "b"})], namespace=space)
    assert ids(vectors.query(unit(1), namespace=space, top_k=5, filter={"uid": "a"})) == []
    assert ids(vectors.query(unit(1), namespace=space, top_k=5, filter={"uid": "b"})) == ["x"]


def test_large_writes_are_cut_into_batches(vectors: Vectors, space: str) -> None:
    """Pinecone takes 2 MB per request: 3072 floats are some 60 kB of JSON."""
    random = np.random.default_rng(7)
    many = [record("u", str(number), random.standard_normal(3072).tolist()) for number in range(120)]
    vectors.upsert(many, namespace=space)
    assert vectors.count(namespace=space) == 120
    assert len(list(vectors.list_ids(prefix="u-", namespace=space))) == 120


def test_nothing_to_write_or_delete_is_no_error(vectors: Vectors, space: str) -> None:
    vectors.upsert([], namespace=space)
    vectors.delete([], namespace=space)
    vectors.delete(["never-was"], namespace=space)
    vectors.delete_where({"uid": "nobody"}, namespace=space)
    assert vectors.fetch([], namespace=space) == {}
    assert list(vectors.list_ids(namespace=space)) == []
    assert vectors.count(namespace=space) == 0
    assert vectors.query(unit(1), namespace=space, top_k=3, filter={"uid": "u"}) == []


# --- searching


def test_search_is_exact_and_in_order(vectors: Vectors, space: str) -> None:
    random = np.random.default_rng(3)
    matrix = random.standard_normal((200, DIMENSION))
    vectors.upsert([record("u", f"{number:03d}", row.tolist()) for number, row in enumerate(matrix)], namespace=space)
    for _ in range(5):
        query = random.standard_normal(DIMENSION)
        scores = matrix @ query / np.linalg.norm(matrix, axis=1) / np.linalg.norm(query)
        wanted = [f"u-{index:03d}" for index in np.argsort(-scores)[:10]]
        found = vectors.query(query.tolist(), namespace=space, top_k=10, filter={"uid": "u"})
        assert ids(found) == wanted
        assert [match.score for match in found] == pytest.approx(sorted(scores, reverse=True)[:10], abs=1e-4)


def test_scores_are_cosines_whatever_the_length(vectors: Vectors, space: str) -> None:
    vectors.upsert([record("u", "far", unit(-50)), record("u", "near", unit(0.001)), record("u", "side", unit(0, 9))],
                   namespace=space)  # fmt: skip
    found = vectors.query(unit(123), namespace=space, top_k=3, filter={"uid": "u"})
    assert ids(found) == ["u-near", "u-side", "u-far"]
    assert [match.score for match in found] == pytest.approx([1, 0, -1], abs=1e-5)


def test_a_user_never_finds_another_users_vectors(vectors: Vectors, space: str) -> None:
    vectors.upsert(
        [record("a", "1", unit(1)), record("a-b", "1", unit(1)), record("ab", "1", unit(1))], namespace=space
    )
    assert ids(vectors.query(unit(1), namespace=space, top_k=10, filter={"uid": "a"})) == ["a-1"]
    assert ids(vectors.query(unit(1), namespace=space, top_k=10, filter={"uid": {"$eq": "ab"}})) == ["ab-1"]


def test_namespaces_are_apart(vectors: Vectors, space: str) -> None:
    vectors.upsert([record("u", "1", unit(1))], namespace=space)
    vectors.upsert([record("u", "1", unit(0, 1)), record("u", "2", unit(1))], namespace=f"{space}-b")
    assert ids(vectors.query(unit(1), namespace=space, top_k=5, filter={"uid": "u"})) == ["u-1"]
    vectors.delete(["u-1"], namespace=f"{space}-b")
    assert (vectors.count(namespace=space), vectors.count(namespace=f"{space}-b")) == (1, 1)


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, {1, 2, 3, 4}),
        ({"created_at": {"$gte": 200}}, {2, 3}),
        ({"created_at": {"$gt": 100, "$lt": 300}}, {2}),
        ({"created_at": {"$lte": 100}}, {1}),
        ({"category": "work"}, {1, 2}),
        ({"category": {"$ne": "work"}}, {3, 4}),
        ({"category": {"$in": ["work", "home"]}}, {1, 2, 3}),
        ({"category": {"$nin": ["work"]}}, {3, 4}),
        ({"people": "ana"}, {1, 3}),
        ({"people": {"$in": ["ben"]}}, {2, 3}),
        ({"starred": True}, {1}),
        ({"$or": [{"category": "home"}, {"created_at": {"$lt": 150}}]}, {1, 3}),
        ({"$and": [{"category": "work"}, {"created_at": {"$gte": 200}}]}, {2}),
        ({"category": {"$exists": False}}, {4}),
        ({"nothing": 1}, set()),
    ],
)
def test_filters(vectors: Vectors, space: str, filter: dict[str, Any], expected: set[int]) -> None:
    vectors.upsert(
        [
            record("u", "1", unit(1), created_at=100, category="work", people=["ana"], starred=True),
            record("u", "2", unit(1, 0.1), created_at=200, category="work", people=["ben"], starred=False),
            record("u", "3", unit(1, 0.2), created_at=300, category="home", people=["ana", "ben"]),
            record("u", "4", unit(1, 0.3)),
            record("other", "5", unit(1), created_at=200, category="work", people=["ana"], starred=True),
        ],
        namespace=space,
    )
    found = vectors.query(unit(1), namespace=space, top_k=10, filter={"uid": "u", **filter})
    assert {int(match.metadata["memory_id"]) for match in found} == expected  # type: ignore[arg-type]
    best = vectors.query(unit(1), namespace=space, top_k=1, filter={"uid": "u", **filter})
    assert ids(best) == ids(found)[:1]


def test_a_query_without_a_user_sees_the_whole_namespace(vectors: Vectors, space: str) -> None:
    vectors.upsert([record(f"u{number}", "m", unit(1, number / 10)) for number in range(6)], namespace=space)
    assert ids(vectors.query(unit(1), namespace=space, top_k=3)) == ["u0-m", "u1-m", "u2-m"]
    assert ids(vectors.query(unit(1), namespace=space, top_k=9, filter={"memory_id": "m"})) == [
        f"u{n}-m" for n in range(6)
    ]


@pytest.mark.parametrize(
    "filter",
    [{"$not": []}, {"a": {"$regex": "x"}}, {"a": {"$gt": "text"}}, {"a": {"$in": []}}, {"a": None}, {"$or": []}],
)
def test_a_filter_that_is_none_is_refused(vectors: Vectors, space: str, filter: dict[str, Any]) -> None:
    with pytest.raises(InvalidVector):
        vectors.query(unit(1), namespace=space, top_k=1, filter=filter)
    with pytest.raises(InvalidVector):
        vectors.delete_where(filter, namespace=space)


# --- deleting and listing


def test_vectors_are_deleted_by_the_id_they_were_written_under(vectors: Vectors, space: str) -> None:
    """The original wrote ``uid-id`` and deleted ``id``."""
    from omi.stores.vectors import vector_id

    identity = vector_id("u", "m-1")
    vectors.upsert([Vector(identity, unit(1), {"uid": "u", "memory_id": "m-1"})], namespace=space)
    assert ids(vectors.query(unit(1), namespace=space, top_k=1, filter={"uid": "u"})) == [identity]
    vectors.delete([vector_id("u", "m-1")], namespace=space)
    assert vectors.query(unit(1), namespace=space, top_k=1, filter={"uid": "u"}) == []
    assert vectors.fetch([identity], namespace=space) == {}


def test_deleting_by_filter_takes_what_matches_and_nothing_else(vectors: Vectors, space: str) -> None:
    vectors.upsert(
        [record("u", "1", unit(1)), Vector("u-1-part", unit(0, 1), {"uid": "u", "memory_id": "1"}),
         record("u", "2", unit(1)), record("v", "1", unit(1))],
        namespace=space,
    )  # fmt: skip
    vectors.delete_where({"uid": "u", "memory_id": "1"}, namespace=space)
    assert sorted(vectors.list_ids(namespace=space)) == ["u-2", "v-1"]
    vectors.delete_where({"uid": "u"}, namespace=space)
    assert sorted(vectors.list_ids(namespace=space)) == ["v-1"]


def test_ids_are_listed_by_prefix(vectors: Vectors, space: str) -> None:
    many = [record("u", f"{number:04d}", unit(1)) for number in range(230)] + [record("u2", "1", unit(1))]
    vectors.upsert(many, namespace=space)
    assert sorted(vectors.list_ids(prefix="u-", namespace=space)) == [f"u-{number:04d}" for number in range(230)]
    assert list(vectors.list_ids(prefix="u-0007", namespace=space)) == ["u-0007"]
    assert list(vectors.list_ids(prefix="nobody", namespace=space)) == []


# --- bad input


@pytest.mark.parametrize(
    "values",
    [[], [0.0] * DIMENSION, [float("nan")] * DIMENSION, [float("inf")] + [0.0] * (DIMENSION - 1), [1e39] * DIMENSION,
     ["x"] * DIMENSION],
    ids=["empty", "zero", "nan", "inf", "over float32", "text"],
)  # fmt: skip
def test_a_vector_without_a_direction_is_refused(vectors: Vectors, space: str, values: list[Any]) -> None:
    vectors.upsert([record("u", "1", unit(1))], namespace=space)
    with pytest.raises(InvalidVector):
        vectors.upsert([record("u", "2", unit(1)), record("u", "3", values)], namespace=space)
    with pytest.raises(InvalidVector):
        vectors.query(values, namespace=space, top_k=1)
    assert vectors.count(namespace=space) == 1


@pytest.mark.parametrize("identity", ["", "x" * 513, "ü", "a\x00"])
def test_an_id_that_the_store_does_not_take_is_refused(vectors: Vectors, space: str, identity: str) -> None:
    with pytest.raises(InvalidVector):
        vectors.upsert([Vector(identity, unit(1), {"uid": "u"})], namespace=space)
    with pytest.raises(InvalidVector):
        vectors.delete([identity], namespace=space)


@pytest.mark.parametrize("metadata", [{"a": None}, {"a": {"b": 1}}, {"$a": 1}, {"a": [1]}, {"a": "x" * 50_000}])
def test_metadata_that_the_store_does_not_take_is_refused(vectors: Vectors, space: str, metadata: Any) -> None:
    with pytest.raises(InvalidVector):
        vectors.upsert([Vector("x", unit(1), metadata)], namespace=space)


def test_another_dimension_is_refused(vectors: Vectors, space: str) -> None:
    vectors.upsert([record("u", "1", unit(1))], namespace=space)
    with pytest.raises(InvalidVector):
        vectors.upsert([record("u", "2", [1.0] * (DIMENSION + 1))], namespace=space)
    with pytest.raises(InvalidVector):
        vectors.query([1.0] * (DIMENSION - 1), namespace=space, top_k=1, filter={"uid": "u"})
    assert vectors.count(namespace=space) == 1


@pytest.mark.parametrize("top_k", [0, -1, 10_001])
def test_top_k_has_bounds(vectors: Vectors, space: str, top_k: int) -> None:
    with pytest.raises(InvalidVector):
        vectors.query(unit(1), namespace=space, top_k=top_k)
