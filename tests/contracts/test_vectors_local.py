"""The local twin of the vectors port: several processes, several writers, a transaction that is undone."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections

from tests.contracts.vectors import ids, record, unit


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_every_process_sees_what_another_wrote_or_deleted(
    kind: str, request: pytest.FixtureRequest, space: str, django_db_blocker: Any
) -> None:
    """Two stores with caches of their own stand for two processes."""
    from omi.stores.models import VectorScope
    from omi.stores.vectors.local import LocalVectors

    alias = request.getfixturevalue(f"{kind}_alias")
    with django_db_blocker.unblock():
        one, two = LocalVectors(using=alias), LocalVectors(using=alias)
        scope: dict[str, Any] = {"namespace": space, "top_k": 9, "filter": {"uid": "u"}}
        one.upsert([record("u", str(number), unit(1, number / 10)) for number in range(3)], namespace=space)
        assert ids(one.query(unit(1), **scope)) == ids(two.query(unit(1), **scope)) == ["u-0", "u-1", "u-2"]
        two.upsert([record("u", "3", unit(1)), record("u", "0", unit(0, 1))], namespace=space)
        assert ids(one.query(unit(1), **scope)) == ["u-3", "u-1", "u-2", "u-0"]
        two.delete(["u-1"], namespace=space)
        assert ids(one.query(unit(1), **scope)) == ["u-3", "u-2", "u-0"]
        one.delete_where({"uid": "u", "memory_id": "3"}, namespace=space)
        two.upsert([record("u", "1", unit(1))], namespace=space)
        assert ids(one.query(unit(1), **scope)) == ids(two.query(unit(1), **scope)) == ["u-1", "u-2", "u-0"]
        two.delete_where({"uid": "u"}, namespace=space)
        assert not VectorScope.objects.using(alias).filter(namespace=space).exists()  # nor that there was a user
        two.upsert([record("u", "9", unit(1))], namespace=space)  # "one" still remembers what was before
        assert ids(one.query(unit(1), **scope)) == ids(two.query(unit(1), **scope)) == ["u-9"]
        connections[alias].close()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_writers_at_once_lose_no_vector(
    kind: str, request: pytest.FixtureRequest, space: str, django_db_blocker: Any
) -> None:
    from omi.stores.vectors.local import LocalVectors

    alias = request.getfixturevalue(f"{kind}_alias")
    problems: list[BaseException] = []

    def write(who: int) -> None:
        try:
            for number in range(10):
                LocalVectors(using=alias).upsert([record("u", f"{who}-{number}", unit(1, who))], namespace=space)
        except BaseException as problem:
            problems.append(problem)
        finally:
            connections.close_all()

    with django_db_blocker.unblock():
        reader = LocalVectors(using=alias)
        threads = [threading.Thread(target=write, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            reader.query(unit(1), namespace=space, top_k=100, filter={"uid": "u"})
        for thread in threads:
            thread.join(60)
        assert problems == []
        assert len(reader.query(unit(1), namespace=space, top_k=100, filter={"uid": "u"})) == 30
        connections[alias].close()


@pytest.mark.django_db
def test_what_was_rolled_back_was_never_there() -> None:
    from django.db import transaction

    from omi.stores.vectors.local import LocalVectors

    store = LocalVectors()
    scope: dict[str, Any] = {"namespace": "n", "top_k": 9, "filter": {"uid": "u"}}
    with transaction.atomic():
        store.upsert([record("u", "ghost", unit(1))], namespace="n")
        assert ids(store.query(unit(1), **scope)) == ["u-ghost"]
        transaction.set_rollback(True)
    store.upsert([record("u", "real", unit(1))], namespace="n")
    assert ids(store.query(unit(1), **scope)) == ["u-real"]
