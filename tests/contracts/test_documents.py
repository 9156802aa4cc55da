"""The contract of the documents port, for the local twin on SQLite and PostgreSQL and for Firestore's emulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.db import connections

from omi.errors import ProviderError
from omi.stores.documents.base import (
    DELETE_FIELD,
    AlreadyExists,
    Document,
    Documents,
    InvalidData,
    InvalidPath,
    NotFound,
    OrderBy,
    ReadAfterWrite,
    TooLarge,
    Transaction,
    VersionConflict,
    Where,
    Write,
)
from omi.stores.documents.values import MAX_DOCUMENT_BYTES, document_size

NOW = datetime(2026, 11, 22, 15, 30, 0, 123456, tzinfo=UTC)


# --- values


def test_every_kind_of_value_comes_back_as_it_was(store: Documents, root: str) -> None:
    data = {
        "null": None, "yes": True, "no": False, "int": 2**63 - 1, "negative": -(2**63), "float": 0.1, "whole": 3.0,
        "text": "Ünï 🧠 \u0000 \" \\", "empty": "", "bytes": b"\x00\xff", "when": NOW, "list": [1, "a", {"b": [NOW]}],
        "empty_list": [], "map": {"a": {"b": {"c": 1}}, "with-hyphen": 1, "with.dot": 2, "$date": "no", "1": 1},
        "empty_map": {}, "infinite": float("inf"),
    }  # fmt: skip
    store.create(root, data)
    found = store.get(root)
    assert found is not None
    assert found.data == data
    assert isinstance(found.data["whole"], float)
    assert isinstance(found.data["int"], int)
    assert found.data["when"].tzinfo is UTC


def test_times_of_other_zones_come_back_in_utc(store: Documents, root: str) -> None:
    store.create(root, {"at": NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))})
    found = store.get(root)
    assert found is not None
    assert found.data["at"] == NOW
    assert found.data["at"].utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [datetime(2026, 1, 1), 2**63, [[1]], {"": 1}, {"__x__": 1}, "\ud800", object(), {1: 2}],
    ids=["naive", "65 bits", "list in list", "no name", "reserved", "surrogate", "object", "number as name"],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(store: Documents, root: str, value: Any) -> None:
    with pytest.raises(InvalidData):
        store.create(root, {"value": value})
    with pytest.raises(InvalidData):
        store.set(root, {"value": value})
    assert store.get(root) is None


# --- paths


@pytest.mark.parametrize(
    "path",
    ["", "users", "users/", "/users/a", "users//memories/b", "users/a/memories", "users/.", "users/..", "users/a\x00b",
     "users/__all__", "users/" + "x" * 1501, "users/\ud800"],
)  # fmt: skip
def test_a_path_that_cannot_name_a_document_is_refused_on_every_verb(store: Documents, path: str) -> None:
    verbs: list[Callable[[], Any]] = [
        lambda: store.get(path),
        lambda: store.get_many([path]),
        lambda: store.create(path, {}),
        lambda: store.set(path, {}),
        lambda: store.update(path, {"a": 1}),
        lambda: store.delete(path),
        lambda: store.delete(path, recursive=True),
        lambda: store.collections(path),
        lambda: store.batch([Write("set", path, {})]),
        lambda: store.transaction(lambda transaction: transaction.get(path)),
    ]
    for verb in verbs:
        with pytest.raises(InvalidPath):
            verb()


def test_odd_ids_are_ids(store: Documents, root: str) -> None:
    for identity in ("ü", "a b", "%2F", "a.b", "-", "__a", "x" * 1500, "🧠", "1", "'; --", "%", "_", "a*b", "[x]"):
        path = f"{root}/odd/{identity}"
        store.create(path, {"id": identity})
        found = store.get(path)
        assert found is not None
        assert (found.id, found.path, found.data) == (identity, path, {"id": identity})
    assert len(store.query(f"{root}/odd")) == 14


# --- create, set, update, delete


def test_create_fails_where_a_document_is(store: Documents, root: str) -> None:
    made = store.create(root, {"a": 1})
    with pytest.raises(AlreadyExists):
        store.create(root, {"a": 2})
    found = store.get(root)
    assert found is not None
    assert (found.data, found.version, found.created_at) == ({"a": 1}, made.version, made.created_at)


def test_set_replaces_everything(store: Documents, root: str) -> None:
    store.create(root, {"a": 1, "b": {"c": 2}})
    assert store.set(root, {"b": {"d": 3}}).data == {"b": {"d": 3}}
    assert store.set(f"{root}/new/one", {"x": 1}).data == {"x": 1}


def test_update_touches_only_the_named_fields(store: Documents, root: str) -> None:
    store.create(root, {"a": 1, "m": {"x": 1, "y": {"z": 2}}, "list": [1, 2], "gone": 1})
    store.update(root, {"m.y.z": 3, "m.new.deep": [NOW], "gone": DELETE_FIELD, "never": DELETE_FIELD, "list": [3]})
    found = store.get(root)
    assert found is not None
    assert found.data == {"a": 1, "m": {"x": 1, "y": {"z": 3}, "new": {"deep": [NOW]}}, "list": [3]}


def test_update_reaches_keys_that_are_ids(store: Documents, root: str) -> None:
    key = "6f9e9a0e-2f6b-4a0e-9f0a-7c1f0a3d5b21"
    store.create(root, {"edits": {"segments": {}}})
    store.update(root, {f"edits.segments.{key}": {"is_user": True}, "edits.1st": 1, "edits.`q": 2})
    found = store.get(root)
    assert found is not None
    assert found.data == {"edits": {"segments": {key: {"is_user": True}}, "1st": 1, "`q": 2}}


def test_update_of_a_map_through_something_that_is_none_replaces_it(store: Documents, root: str) -> None:
    store.create(root, {"a": 5})
    store.update(root, {"a.b": 1})
    assert store.get(root).data == {"a": {"b": 1}}  # type: ignore[union-attr]


@pytest.mark.parametrize("fields", [{}, {"a": 1, "a.b": 2}, {"a..b": 1}, {"": 1}, {"a.__b__": 1}])
def test_an_update_that_contradicts_itself_is_refused(store: Documents, root: str, fields: dict[str, Any]) -> None:
    store.create(root, {"a": {}})
    with pytest.raises(InvalidData):
        store.update(root, fields)


def test_update_needs_a_document(store: Documents, root: str) -> None:
    with pytest.raises(NotFound):
        store.update(root, {"a": 1})
    assert store.get(root) is None


def test_update_with_a_version_refuses_what_was_changed_since(store: Documents, root: str) -> None:
    """A stale object never overwrites a newer one (omi-protocol 4.3 no. 40)."""
    old = store.create(root, {"a": 1})
    new = store.update(root, {"a": 2}, if_version=old.version)
    assert new.version != old.version
    assert new.updated_at > old.updated_at
    assert new.created_at == old.created_at
    with pytest.raises(VersionConflict):
        store.update(root, {"a": 3}, if_version=old.version)
    assert store.update(root, {"a": 3}, if_version=new.version).data == {"a": 3}


def test_a_document_made_again_has_another_version(store: Documents, root: str) -> None:
    first = store.create(root, {"a": 1})
    store.delete(root)
    store.create(root, {"a": 1})
    with pytest.raises(VersionConflict):
        store.update(root, {"a": 2}, if_version=first.version)


def test_delete_is_repeatable_and_leaves_what_lies_below(store: Documents, root: str) -> None:
    store.create(root, {"a": 1})
    store.create(f"{root}/below/one", {"b": 1})
    store.delete(root)
    store.delete(root)
    assert store.get(root) is None
    assert store.get(f"{root}/below/one") is not None
    assert store.collections(root) == ["below"]


def test_recursive_delete_takes_everything_below_and_nothing_beside(store: Documents, root: str) -> None:
    """Prefixes of other ids are other documents (omi-protocol 4.3 no. 70)."""
    for path in (
        root,
        f"{root}/a/1",
        f"{root}/a/1/b/2",
        f"{root}/c/3/missing/4",
        f"{root}0",
        f"{root}-x/a/1",
        f"{root}x",
    ):
        store.create(path, {"x": 1})
    store.delete(root, recursive=True)
    assert store.get(root) is None
    assert store.collections(root) == []
    assert store.get(f"{root}/a/1/b/2") is None
    for path in (f"{root}0", f"{root}-x/a/1", f"{root}x"):
        assert store.get(path) is not None


def test_get_many_gives_those_that_are_there_in_the_asked_order(store: Documents, root: str) -> None:
    paths = [f"{root}/m/{number}" for number in range(5)]
    for path in paths[:4]:
        store.create(path, {"p": path})
    assert list(store.get_many([paths[3], paths[4], paths[0]])) == [paths[3], paths[0]]
    assert store.get_many([]) == {}


# --- queries


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


# --- limits


def test_a_document_may_have_just_under_a_mebibyte(store: Documents, root: str) -> None:
    """omi-protocol 4.3 no. 76: the limit is an error with a name, in the twin as well."""
    room = MAX_DOCUMENT_BYTES - document_size(root, {"text": ""})
    with pytest.raises(TooLarge):
        store.create(root, {"text": "x" * (room + 1)})
    assert store.get(root) is None
    store.create(root, {"text": "x" * (room - 200)})
    with pytest.raises(TooLarge):
        store.update(root, {"more": "y" * 400})
    assert store.get(root).data.keys() == {"text"}  # type: ignore[union-attr]


def test_a_batch_is_all_or_nothing(store: Documents, root: str) -> None:
    store.create(f"{root}/b/there", {"x": 1})
    with pytest.raises(AlreadyExists):
        store.batch([Write("set", f"{root}/b/new", {"x": 1}), Write("create", f"{root}/b/there", {"x": 2})])
    assert store.get(f"{root}/b/new") is None
    with pytest.raises(NotFound):
        store.batch([Write("delete", f"{root}/b/there"), Write("update", f"{root}/b/absent", {"x": 2})])
    assert store.get(f"{root}/b/there") is not None
    store.batch(
        [
            Write("create", f"{root}/b/new", {"x": 1}),
            Write("update", f"{root}/b/there", {"y": 2}),
            Write("delete", f"{root}/b/never"),
        ]
    )
    assert store.get(f"{root}/b/there").data == {"x": 1, "y": 2}  # type: ignore[union-attr]
    store.batch([])


def test_a_batch_takes_500_writes_and_no_more(store: Documents, root: str) -> None:
    writes = [Write("set", f"{root}/b/{number}", {"n": number}) for number in range(501)]
    with pytest.raises(TooLarge):
        store.batch(writes)
    assert store.count(f"{root}/b") == 0
    store.batch(writes[:500])
    assert store.count(f"{root}/b") == 500


# --- transactions


def test_a_transaction_writes_all_or_nothing(store: Documents, root: str) -> None:
    store.create(root, {"n": 1})

    def failing(transaction: Transaction) -> None:
        transaction.get(root)
        transaction.update(root, {"n": 2})
        transaction.create(f"{root}/x/1", {})
        raise KeyError("our own")

    with pytest.raises(KeyError):
        store.transaction(failing)
    assert store.get(root).data == {"n": 1}  # type: ignore[union-attr]
    assert store.get(f"{root}/x/1") is None


def test_a_transaction_reads_before_it_writes(store: Documents, root: str) -> None:
    def wrong(transaction: Transaction) -> None:
        transaction.set(root, {"a": 1})
        transaction.get(root)

    with pytest.raises(ReadAfterWrite):
        store.transaction(wrong)
    assert store.get(root) is None


def test_a_transaction_reports_what_its_writes_ran_into(store: Documents, root: str) -> None:
    store.create(root, {})
    with pytest.raises(AlreadyExists):
        store.transaction(lambda transaction: transaction.create(root, {}))
    with pytest.raises(NotFound):
        store.transaction(lambda transaction: transaction.update(f"{root}/x/absent", {"a": 1}))


def test_a_transaction_gives_back_what_its_function_gave(store: Documents, root: str) -> None:
    assert store.transaction(lambda transaction: transaction.get(root)) is None

    def step(transaction: Transaction) -> str:
        transaction.set(root, {"a": 1})
        transaction.update(root, {"b": 2})
        transaction.delete(f"{root}/x/1")
        return "done"

    assert store.transaction(step) == "done"
    assert store.get(root).data == {"a": 1, "b": 2}  # type: ignore[union-attr]


def test_three_writers_of_one_document_lose_nothing(store: Documents, root: str) -> None:
    """Contention of 3: each increment counts. The client's own decorator gives up here (vendors.md 9.2)."""
    store.create(root, {"n": 0, "who": []})

    def add(who: int) -> None:
        def step(transaction: Transaction) -> None:
            found = transaction.get(root)
            assert found is not None
            time.sleep(0.01)
            transaction.update(root, {"n": found.data["n"] + 1, "who": [*found.data["who"], who]})

        for _ in range(3):
            store.transaction(step)

    _in_threads([lambda who=who: add(who) for who in range(3)])
    found = store.get(root)
    assert found is not None
    assert found.data["n"] == 9
    assert sorted(found.data["who"]) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_of_several_that_create_one_document_in_a_transaction_one_wins(store: Documents, root: str) -> None:
    """Also a document that was not there is read safely."""
    won: list[int] = []

    def claim(who: int) -> None:
        def step(transaction: Transaction) -> bool:
            if transaction.get(root) is not None:
                return False
            time.sleep(0.02)
            transaction.set(root, {"who": who})
            return True

        if store.transaction(step):
            won.append(who)

    _in_threads([lambda who=who: claim(who) for who in range(3)])
    assert len(won) == 1
    assert store.get(root).data == {"who": won[0]}  # type: ignore[union-attr]


def test_updates_of_different_fields_at_once_both_stand(store: Documents, root: str) -> None:
    store.create(root, {})
    _in_threads([lambda name=name: store.update(root, {name: 1}) for name in ("a", "b", "c")])
    assert store.get(root).data == {"a": 1, "b": 1, "c": 1}  # type: ignore[union-attr]


def _in_threads(works: list[Callable[[], Any]]) -> None:
    problems: list[BaseException] = []

    def run(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as problem:
            problems.append(problem)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert problems == []
    assert not any(thread.is_alive() for thread in threads)


def test_a_store_that_is_out_of_reach_is_a_transient_error(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from omi.stores.documents.firestore import FirestoreDocuments
    from tests.support.processes import free_port

    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    settings.GOOGLE_CLOUD_PROJECT = "demo-nobody-there"
    with pytest.raises(ProviderError) as caught:
        FirestoreDocuments(timeout=2.0).get("users/a")
    assert caught.value.retryable
    assert "127.0.0.1" not in caught.value.message
