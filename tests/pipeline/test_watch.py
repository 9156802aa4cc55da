"""When a cluster is taken to hang, and when reminders are held back."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from memories.pipeline import recovery, service
from memories.pipeline.engine import queue
from memories.pipeline.models import ClusterBeat, PostProcessingRun
from memories.pipeline.operations.supervisor import ClusterWatch
from memories.shapes import Memory
from tests.pipeline.conftest import UID

pytestmark = pytest.mark.django_db


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0  # whole seconds: a real clock's fractions do not add up exactly


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: made.now)
    return made


def restarts(watch: ClusterWatch, clock: Clock, seconds: float) -> list[float]:
    """Look every second; when it says that the cluster hangs, that is restarted. The moments of the restarts."""
    began, found = clock.now, []
    while clock.now < began + seconds:
        clock.now += 1
        if watch.look():
            found.append(clock.now - began)
            watch.fresh()
    return found


def test_a_cluster_that_starts_slowly_is_not_restarted_for_ever(clock: Clock) -> None:
    """Found by the soak: with a start longer than the patience each restart undid the one before."""
    watch = ClusterWatch("me", lambda: 1, patience=10)
    watch.fresh()
    assert restarts(watch, clock, 11) == [11]
    assert restarts(watch, clock, 21) == [21]
    assert restarts(watch, clock, 41) == [41]
    ClusterBeat.objects.create(name="me", number=0, at=timezone.now())
    assert restarts(watch, clock, 12) == [12], "it lived in between: the patience is the first one again"


def test_a_beat_that_comes_through_is_life_and_one_that_is_not_acknowledged_is_none(clock: Clock) -> None:
    watch = ClusterWatch("me", lambda: 1, patience=60, acknowledge=30)
    watch.fresh()
    assert watch.look() == ""
    [sent] = OrmQ.objects.all()
    assert sent.task["args"] == ("me", 1)
    ClusterBeat.objects.create(name="me", number=1, at=timezone.now())
    clock.now += 1
    assert watch.look() == ""
    clock.now += 31
    assert watch.look() == "its monitor acknowledges nothing"
    watch.fresh()
    sent.delete()
    assert watch.look() == ""
    assert OrmQ.objects.get().task["args"] == ("me", 2)


def test_reminders_are_held_back_while_the_workers_are_behind(memory: Memory, monkeypatch: Any) -> None:
    """Found by the soak: 133 runs in line made 5,000 messages in a quarter of an hour in which nobody took any."""
    run = service.start("reprocess", UID, memory.id, actor="test")
    queue.wake(run.pk)
    assert OrmQ.objects.count() == 1
    real = timezone.now()
    sent = []
    for minute in range(60):
        moment = real + timedelta(minutes=minute, seconds=10)
        monkeypatch.setattr(timezone, "now", lambda moment=moment: moment)
        sent.append(recovery.reconcile().resent)
    assert 4 <= sum(sent) <= 6, "every ten minutes"
    OrmQ.objects.all().delete()
    assert recovery.reconcile().resent == 1, "nothing waits for a worker, so the wake-up is lost"
    assert PostProcessingRun.objects.get().state == "queued"
