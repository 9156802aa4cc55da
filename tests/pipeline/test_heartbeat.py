"""A lease is renewed while a step works, and only as long as the step may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import InterfaceError
from django.utils import timezone

from memories.pipeline import service
from memories.pipeline.engine import heartbeat
from memories.pipeline.engine import lease as leases
from memories.pipeline.models import PostProcessingRun
from memories.shapes import Memory
from tests.pipeline.conftest import UID


@pytest.fixture
def lease(memory: Memory) -> leases.Lease:
    run = service.start("reprocess", UID, memory.id, actor="test")
    lease = leases.claim(PostProcessingRun.objects.get(pk=run.pk), owner="me")
    assert lease is not None
    return lease


@pytest.mark.django_db
def test_a_beat_renews_the_lease_of_its_holder_only(lease: leases.Lease) -> None:
    beat = heartbeat.Heartbeat(lease)
    beat._until = time.monotonic() + 60
    PostProcessingRun.objects.update(lease_until=timezone.now() + timedelta(seconds=1))
    assert beat.beat()
    renewed = PostProcessingRun.objects.get().lease_until
    assert renewed is not None
    assert renewed > timezone.now() + timedelta(seconds=30)
    PostProcessingRun.objects.update(fence=lease.fence + 1, lease_owner="other")
    assert not beat.beat()


@pytest.mark.django_db
def test_a_step_that_got_on_has_its_whole_time_again(lease: leases.Lease, monkeypatch: pytest.MonkeyPatch) -> None:
    beat = heartbeat.Heartbeat(lease)
    try:
        beat.step(40.0)
        began = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: began + 30)
        beat.begin_anew()
        assert began + 69 < beat._until <= began + 70
    finally:
        beat.stop()


@pytest.mark.django_db
def test_a_step_over_its_time_is_not_renewed_whatever_the_wall_clock_does(
    lease: leases.Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = PostProcessingRun.objects.get().lease_until
    beat = heartbeat.Heartbeat(lease)
    beat._until = time.monotonic() - 1
    assert beat.beat(), "it is still the holder's"
    assert PostProcessingRun.objects.get().lease_until == before
    beat._until = time.monotonic() + 60
    later = timezone.now() + timedelta(hours=5)
    monkeypatch.setattr(timezone, "now", lambda: later)
    beat.beat()
    assert PostProcessingRun.objects.get().lease_until == later + leases.lease_time()


@pytest.fixture
def beats(monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """How often each run's lease was renewed, by run; no database."""
    counted: dict[int, int] = {}

    def beat(self: heartbeat.Heartbeat) -> bool:
        run = self._lease.run_id
        counted[run] = counted.get(run, 0) + 1
        return run != 3

    monkeypatch.setattr(heartbeat.Heartbeat, "beat", beat)
    return counted


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_one_thread_beats_for_all_runs_of_a_process(beats: dict[int, int], settings: Any) -> None:
    settings.OMI_LEASE_SECONDS = 0.2
    held = [heartbeat.Heartbeat(leases.Lease(number, "me", 1, timezone.now(), "queued")) for number in (1, 2, 3)]  # type: ignore[arg-type]
    for beat in held:
        beat.step(60)
    until(lambda: beats.get(1, 0) >= 3 and beats.get(2, 0) >= 3)
    assert beats[3] == 1, "a lost run is left alone"
    assert sum(thread.name == "heartbeats" for thread in threading.enumerate()) == 1
    held[0].stop()
    now = beats[1]
    until(lambda: beats[2] >= now + 6)
    assert beats[1] <= now + 1, "the one that was under way"
    for beat in held:
        beat.stop()


def test_no_error_of_any_kind_ends_the_only_thread(
    beats: dict[int, int], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It died of whatever was no DatabaseError, and every lease of the process ran out."""
    settings.OMI_LEASE_SECONDS = 0.2
    fine, refused = heartbeat.Heartbeat.beat, []

    def beat(self: heartbeat.Heartbeat) -> bool:
        if self._lease.run_id == 2 and len(refused) < 3:
            refused.append([InterfaceError("closed"), ZeroDivisionError(), MemoryError()][len(refused)])
            raise refused[-1]
        return fine(self)

    monkeypatch.setattr(heartbeat.Heartbeat, "beat", beat)
    broken = [RuntimeError("the connection cannot even be closed")]

    def close() -> None:
        if broken:
            raise broken.pop()

    monkeypatch.setattr(heartbeat, "connection", SimpleNamespace(close=close))
    held = [heartbeat.Heartbeat(leases.Lease(number, "me", 1, timezone.now(), "queued")) for number in (1, 2)]  # type: ignore[arg-type]
    for item in held:
        item.step(60)
    try:
        until(lambda: len(refused) == 3 and beats.get(2, 0) >= 2)
        assert beats[1] >= 4, "nobody else's lease waited for it"
        assert not broken
    finally:
        for item in held:
            item.stop()
