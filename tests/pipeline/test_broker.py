"""Our broker does to the queue's table what Django-Q2's ORM broker does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from django_q.models import OrmQ

from memories.pipeline.engine.broker import RowsBroker
from memories.pipeline.engine.queue import broker

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[RowsBroker, ORM], ids=["ours", "django-q2"])
def queue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(Conf, "POLL", 0)
    return request.param("omi")


def test_it_is_the_one_that_is_used() -> None:
    assert isinstance(broker(), RowsBroker)


def test_a_message_is_handed_out_once_and_gone_when_it_is_acknowledged(queue: Any) -> None:
    key = queue.enqueue("a task")
    row = OrmQ.objects.get()
    assert (row.pk, row.key, row.payload) == (key, "omi", "a task")
    assert abs(timezone.now() - row.lock) < timedelta(seconds=5)
    assert queue.dequeue() == [(key, "a task")]
    assert not queue.dequeue()
    assert OrmQ.objects.get().lock > timezone.now() + timedelta(seconds=Conf.RETRY - 60)
    queue.acknowledge(key)
    assert not OrmQ.objects.exists()


def test_what_is_not_due_and_what_is_another_queues_stays(queue: Any) -> None:
    OrmQ.objects.create(key="omi", payload="later", lock=timezone.now() + timedelta(hours=1))
    OrmQ.objects.create(key="other", payload="not ours", lock=timezone.now())
    assert not queue.dequeue()
    queue.fail(OrmQ.objects.get(payload="later").pk)
    assert [row.payload for row in OrmQ.objects.all()] == ["not ours"]


def test_of_two_clusters_one_has_the_message(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    key = queue.enqueue("a task")
    real = type(queue).timeout

    def slow(self: Any, task: Any) -> Any:  # between reading the row and taking it
        OrmQ.objects.filter(pk=key).update(lock=timezone.now() + timedelta(seconds=77))
        return real(self, task)

    monkeypatch.setattr(type(queue), "timeout", slow)
    assert queue.dequeue() == []
