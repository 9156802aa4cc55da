"""The twin and the emulator driven side by side with the same random operations; after each they must agree."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import hypothesis.strategies as st
import pytest
from django.db import connections
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from omi.stores.documents.base import (
    DELETE_FIELD,
    Document,
    DocumentError,
    Documents,
    OrderBy,
    Transaction,
    Where,
    Write,
)
from tests.attack.effort import examples

# Few names, so that operations meet. Values of every type, and of several types under one name.
IDS = st.sampled_from(["a", "b", "B", "ü", "a/sub/x", "a/sub/y", "z-1"])
FIELDS = st.sampled_from(["n", "s", "m", "created_at", "f"])
DOTTED = st.sampled_from(["n", "s", "m", "m.x", "m.y.z", "created_at", "f"])
MOMENTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS,
    st.binary(max_size=8), MOMENTS, st.sampled_from([0, 1, 1.0, "", "1", True, False]),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.sampled_from(["x", "y", "$date", "w-1"]), SCALARS, max_size=3),
)
DATA = st.dictionaries(FIELDS, VALUES, max_size=4)
UPDATES = st.dictionaries(DOTTED, st.one_of(VALUES, st.just(DELETE_FIELD)), min_size=1, max_size=3)
WRITES = st.lists(
    st.one_of(
        st.builds(lambda kind, i, d: (kind, i, d), st.sampled_from(["create", "set"]), IDS, DATA),
        st.builds(lambda i, d: ("update", i, d), IDS, UPDATES),
        st.builds(lambda i: ("delete", i, None), IDS),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda write: write[1],
)
# Ranges over numbers are drawn where float and integer compare exactly in every implementation.
COMPARED = st.one_of(st.booleans(), st.integers(-5, 5), st.floats(-5, 5), TEXTS, MOMENTS)
WHERE = st.one_of(
    st.builds(Where, FIELDS, st.sampled_from(["==", "!="]), st.one_of(COMPARED, st.none())),
    st.builds(Where, FIELDS, st.sampled_from(["<", "<=", ">", ">="]), COMPARED),
    st.builds(Where, FIELDS, st.just("in"), st.lists(COMPARED, min_size=1, max_size=3)),
    st.builds(Where, FIELDS, st.just("array_contains"), COMPARED),
)


class TwinAndEmulator(RuleBasedStateMachine):
    twin: Documents
    emulator: Documents

    @initialize()
    def begin(self) -> None:
        self.root = f"machine/{uuid.uuid4().hex}"

    def both(self, call: Any) -> None:
        """Run on both; outcomes (a value, or the kind of error) must be the same."""
        results = []
        for store in (self.twin, self.emulator):
            try:
                results.append(_plain(call(store)))
            except DocumentError as error:
                results.append(type(error).__name__)
        assert results[0] == results[1]

    @rule(identity=IDS, data=DATA)
    def create(self, identity: str, data: dict[str, Any]) -> None:
        self.both(lambda store: store.create(f"{self.root}/c/{identity}", data))

    @rule(identity=IDS, data=DATA)
    def set(self, identity: str, data: dict[str, Any]) -> None:
        self.both(lambda store: store.set(f"{self.root}/c/{identity}", data))

    @rule(identity=IDS, fields=UPDATES)
    def update(self, identity: str, fields: dict[str, Any]) -> None:
        self.both(lambda store: store.update(f"{self.root}/c/{identity}", fields))

    @rule(identity=IDS, recursive=st.booleans())
    def delete(self, identity: str, recursive: bool) -> None:
        self.both(lambda store: store.delete(f"{self.root}/c/{identity}", recursive=recursive))

    @rule(writes=WRITES)
    def batch(self, writes: list[tuple[Any, str, Any]]) -> None:
        listed = [Write(kind, f"{self.root}/c/{identity}", data) for kind, identity, data in writes]
        self.both(lambda store: store.batch(listed))

    @rule(identity=IDS, writes=WRITES, fail=st.booleans())
    def transaction(self, identity: str, writes: list[tuple[Any, str, Any]], fail: bool) -> None:
        def step(transaction: Transaction) -> Any:
            found = transaction.get(f"{self.root}/c/{identity}")
            for kind, name, data in writes:
                path = f"{self.root}/c/{name}"
                transaction.delete(path) if kind == "delete" else getattr(transaction, kind)(path, data)
            if fail:
                raise DocumentError("ours")
            return found

        self.both(lambda store: store.transaction(step))

    @rule(
        where=st.lists(WHERE, max_size=1),
        order=st.lists(st.builds(OrderBy, FIELDS, st.booleans()), max_size=1),
        limit=st.one_of(st.none(), st.integers(1, 3)),
        offset=st.integers(0, 2),
    )
    def query(self, where: list[Where], order: list[OrderBy], limit: int | None, offset: int) -> None:
        if where and order and where[0].op in {"<", "<=", ">", ">=", "!="} and where[0].field != order[0].field:
            order = []
        collection = f"{self.root}/c"
        self.both(lambda store: store.query(collection, where=where, order_by=order, limit=limit, offset=offset))
        self.both(lambda store: store.count(collection, where=where))

    @invariant()
    def everything_is_the_same(self) -> None:
        if not hasattr(self, "root"):
            return
        self.both(lambda store: store.query(f"{self.root}/c"))
        self.both(lambda store: store.query(f"{self.root}/c/a/sub"))
        self.both(lambda store: store.document_ids(f"{self.root}/c"))
        self.both(lambda store: store.collections(f"{self.root}/c/a"))


def _plain(value: Any) -> Any:
    if isinstance(value, Document):
        return value.path, _typed(value.data)
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _typed(value: Any) -> Any:
    """1, 1.0 and True are equal in Python and must not pass for each other."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return type(value).__name__, repr(value)


@pytest.fixture
def twin(sqlite_alias: str, django_db_blocker: Any) -> Iterator[Documents]:
    from omi.stores.documents.local import LocalDocuments

    with django_db_blocker.unblock():
        yield LocalDocuments(using=sqlite_alias)
        connections[sqlite_alias].close()


@pytest.mark.process
def test_twin_and_emulator_cannot_be_told_apart(twin: Documents, firestore_project: str, monkeypatch: Any) -> None:
    from django.conf import settings as django_settings

    from omi.stores.documents.firestore import FirestoreDocuments

    monkeypatch.setattr(django_settings, "GOOGLE_CLOUD_PROJECT", firestore_project)
    machine = type("Machine", (TwinAndEmulator,), {"twin": twin, "emulator": FirestoreDocuments()})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(36), stateful_step_count=15, deadline=None, derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
