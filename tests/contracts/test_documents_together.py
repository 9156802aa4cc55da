"""The contract of the documents port: several writes in one batch or transaction, and several writers at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from omi.stores.documents.base import (
    AlreadyExists,
    Documents,
    NotFound,
    ReadAfterWrite,
    TooLarge,
    Transaction,
    Write,
)

# --- batches


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


# --- at once


def test_three_writers_of_one_document_lose_nothing(store: Documents, root: str) -> None:
    """Contention of 3: each increment counts. The client's own decorator gives up here."""
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
