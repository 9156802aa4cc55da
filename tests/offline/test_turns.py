"""Whose turn it is at a batch: one worker at a time of each user, another one after a death, none for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.offline import ending, leases, working
from memories.offline.models import SyncBatch, SyncConversation
from memories.pipeline.models import VendorCall
from omi.stores.models import AudioObject
from tests.offline.conftest import TALK, UID, App, Killed, Make, memories, pcm, script, texts
from transcription import journal

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("where", ["_look_at", "_place", "_write", "_store", "_settle", "ask", "store", "hand_over"])
def test_killed_anywhere_the_next_worker_goes_on_and_nothing_is_done_twice(
    app: App, make: Make, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Each killed once, behind what it does: its effect is there, and nobody was told."""
    script("one", "two")
    batch = app.send((pcm(*TALK, seed=1), 0, "pcm16"), (pcm(*TALK, seed=2), 1000, "pcm16"))
    owner: Any = {"ask": working.offline, "store": working.offline, "hand_over": working.handover}.get(
        where, working._Work
    )
    real = getattr(owner, where)
    killed = []

    def once(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if not killed:
            killed.append(True)
            raise Killed
        return result

    monkeypatch.setattr(owner, where, once)
    with pytest.raises(Killed):
        working.work(batch)
    assert working.work(batch) == "not_claimed"  # it may be at work
    SyncBatch.objects.update(until=timezone.now() - timedelta(seconds=1))
    assert working.work(batch) == "done"
    make()
    assert [texts(memory) for memory in memories()] == [["one"], ["two"]]
    assert VendorCall.objects.filter(operation="transcribe").count() == 2
    assert len(list(journal.sessions(UID))) == 2


def test_a_worker_that_wakes_up_late_writes_nothing(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    real = working._Work._place

    def overtaken(self: Any) -> None:
        SyncBatch.objects.update(until=timezone.now() - timedelta(seconds=1))
        assert leases.Turn.take(batch) is not None
        real(self)

    monkeypatch.setattr(working._Work, "_place", overtaken)
    assert working.work(batch) == "lost"
    assert not SyncConversation.objects.exists()


def test_a_batch_that_its_workers_die_of_is_given_up(app: App) -> None:
    batch = app.send((pcm(*TALK), 0, "pcm16"))
    SyncBatch.objects.update(tries=working.MOST_TRIES)
    assert working.work(batch) == "gave_up"
    assert app.shown(batch)["state"] == "failed"
    assert AudioObject.objects.get().delete_after > timezone.now() + ending.FAILED_KEPT, "support may try it again"


def test_a_turn_is_kept_until_another_worker_has_it(app: App) -> None:
    turn = leases.Turn.take(app.send((pcm(*TALK), 0, "pcm16")))
    assert turn is not None
    SyncBatch.objects.update(until=timezone.now())
    assert turn.renew()
    assert SyncBatch.objects.get().until > timezone.now()
    SyncBatch.objects.update(claim="another")
    assert not turn.renew()


def test_two_batches_of_one_user_are_worked_on_one_after_the_other(app: App) -> None:
    first = app.send((pcm(*TALK, seed=1), 0, "pcm16"))
    second = app.send((pcm(*TALK, seed=2), 5, "pcm16"))
    assert leases.Turn.take(first) is not None
    assert working.work(second) == "not_claimed"
