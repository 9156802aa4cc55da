"""Messages of the queue are handed out in the order in which they are due, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ


@pytest.fixture
def on_postgres(postgres_alias: str, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any) -> Iterator[None]:
    """The queue lies on PostgreSQL."""
    monkeypatch.setattr(Conf, "ORM", postgres_alias)
    with django_db_blocker.unblock():
        with connections[postgres_alias].schema_editor() as editor:
            editor.create_model(OrmQ)
        try:
            yield
        finally:
            with connections[postgres_alias].schema_editor() as editor:
                editor.delete_model(OrmQ)


def whole() -> None:
    """Messages can be added, counted, acknowledged and purged, and come in their order."""
    broker = get_broker("order")
    now = timezone.now()
    rows = OrmQ.objects.using(Conf.ORM)
    for name, seconds in (("second", 20), ("third", 10), ("first", 30), ("not due", -60)):
        rows.create(key="order", payload=name, lock=now - timedelta(seconds=seconds))
    broker.enqueue("fourth")
    assert (broker.queue_size(), broker.lock_size()) == (4, 1)
    taken = [broker.dequeue()[0] for _ in range(4)]
    assert [payload for _, payload in taken] == ["first", "second", "third", "fourth"]
    assert not broker.dequeue()
    assert broker.lock_size() == 5
    broker.acknowledge(taken[0][0])
    assert broker.lock_size() == 4
    broker.purge_queue()
    assert broker.lock_size() == 0


@pytest.mark.django_db
def test_the_message_that_has_been_due_for_longest_comes_first() -> None:
    whole()


@pytest.mark.usefixtures("on_postgres")
def test_it_does_on_postgresql() -> None:
    whole()
