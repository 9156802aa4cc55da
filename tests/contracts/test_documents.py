"""The contract of the documents port, for the local twin on SQLite and PostgreSQL and for Firestore's emulator.

Here: values, paths, one document, limits, and a store that is away. Queries, and what happens in one transaction or at
once, have files of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from omi.core.errors import ProviderError
from omi.stores.documents.base import (
    DELETE_FIELD,
    AlreadyExists,
    Documents,
    InvalidData,
    InvalidPath,
    NotFound,
    TooLarge,
    VersionConflict,
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
    """A stale object never overwrites a newer one."""
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
    """Prefixes of other ids are other documents."""
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


# --- limits


def test_a_document_may_have_just_under_a_mebibyte(store: Documents, root: str) -> None:
    """The limit is an error with a name, in the twin as well."""
    room = MAX_DOCUMENT_BYTES - document_size(root, {"text": ""})
    with pytest.raises(TooLarge):
        store.create(root, {"text": "x" * (room + 1)})
    assert store.get(root) is None
    store.create(root, {"text": "x" * (room - 200)})
    with pytest.raises(TooLarge):
        store.update(root, {"more": "y" * 400})
    assert store.get(root).data.keys() == {"text"}  # type: ignore[union-attr]


# --- out of reach


def test_a_store_that_is_out_of_reach_is_a_transient_error(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from omi.stores.documents.firestore import FirestoreDocuments
    from tests.support.processes import free_port

    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{free_port()}")
    settings.GOOGLE_CLOUD_PROJECT = "demo-nobody-there"
    with pytest.raises(ProviderError) as caught:
        FirestoreDocuments(timeout=2.0).get("users/a")
    assert caught.value.retryable
    assert "127.0.0.1" not in caught.value.message
