"""The event log: numbers without holes, once per key, nothing about what is gone."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest
from django.db import close_old_connections, connection, transaction

from memories.repository import memories as repository
from memories.shapes import Memory
from memories.user_events import log
from memories.user_events.models import UserEvent


@pytest.mark.django_db
def test_numbers_grow_by_one_per_user_and_keys_count_once() -> None:
    numbers = [log.append("alice", "new_memory_creating", {}, dedupe_key=key) for key in ("a", "b", "a", None, None)]
    assert numbers == [1, 2, 1, 3, 4]
    assert log.append("bob", "new_memory_creating") == 1
    assert [event["event_number"] for event in log.after("alice", 2)] == [3, 4]
    assert (log.latest("alice"), log.latest("nobody")) == (4, 0)
    assert len(log.after("alice", 0, limit=2)) == 2


@pytest.mark.django_db
def test_an_event_of_a_rolled_back_transaction_leaves_no_hole() -> None:
    with transaction.atomic():
        log.append("alice", "new_memory_creating")
        transaction.set_rollback(True)
    assert log.append("alice", "new_memory_creating") == 1


@pytest.mark.django_db
def test_new_memory_created_shows_the_memory_as_it_is_when_it_is_read() -> None:
    memory = repository.create_memory("alice", Memory(id="m-1", created_at=datetime.now(UTC)))
    log.append("alice", log.MEMORY_CREATED, {"memory_id": "m-1", "memory": {"stale": True}})
    repository.update_memory("alice", "m-1", {"structured.title": "Later"})
    [event] = log.after("alice", 0)
    assert event["memory"]["structured"]["title"] == "Later"
    assert (event["messages"], event["message_ids"], event["processing_memory_id"]) == ([], [], None)
    assert "stale" not in str(UserEvent.objects.get().payload)
    repository.delete_memory("alice", memory.id)
    assert log.after("alice", 0) == []


@pytest.mark.django_db
def test_erasure_takes_a_memorys_events_and_a_users() -> None:
    for memory in ("m-1", "m-2"):
        log.append("alice", "memory_post_processing_success", {"memory_id": memory})
    log.forget_memory("alice", "m-1")
    assert [event["memory_id"] for event in log.after("alice", 0)] == ["m-2"]
    log.forget_user("alice")
    assert (log.after("alice", 0), log.latest("alice")) == ([], 0)


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_never_share_a_number() -> None:
    numbers: list[int] = []

    def write(worker: int) -> None:
        close_old_connections()
        try:
            for n in range(5):
                numbers.append(log.append("alice", "new_memory_creating", {}, dedupe_key=f"{worker}/{n}"))
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(numbers) == list(range(1, 21))
