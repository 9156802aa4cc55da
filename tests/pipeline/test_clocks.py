"""Clocks that jump by an hour: no run is lost, none is done twice, none waits for the jump."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import recovery, runner, service
from memories.pipeline.engine import lease as leases
from memories.pipeline.engine.results import LeaseLost
from memories.pipeline.models import PostProcessingRun
from memories.shapes import Memory
from memories.user_events import log
from tests.pipeline import fakes
from tests.pipeline.conftest import UID

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
Jump = Callable[[timedelta], None]


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    real = timezone.now

    def to(offset: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: real() + offset)

    return to


@pytest.fixture
def run(memory: Memory) -> PostProcessingRun:
    return service.start("reprocess", UID, memory.id, actor="test")


def told(run: PostProcessingRun) -> int:
    return len([item for item in log.after(UID, 0) if item.get("run_id") == run.pk])


def test_a_jump_forward_takes_over_early_and_the_first_worker_is_refused(run: PostProcessingRun, jump: Jump) -> None:
    first = leases.claim(PostProcessingRun.objects.get(pk=run.pk), owner="first")
    assert first is not None
    jump(HOUR)
    assert runner.work(run.pk, owner="second") == "finished"
    with pytest.raises(LeaseLost):
        leases.write(first)
    assert told(run) == 1


def test_after_a_jump_back_a_dead_workers_lease_does_not_last_an_hour(run: PostProcessingRun, jump: Jump) -> None:
    jump(HOUR)
    assert leases.claim(PostProcessingRun.objects.get(pk=run.pk), owner="dead") is not None
    jump(timedelta())
    assert recovery.reconcile().resent == 1
    assert runner.work(run.pk) == "finished"
    assert told(run) == 1


def test_after_a_jump_back_nobody_takes_a_run_from_a_worker_that_beats(run: PostProcessingRun, jump: Jump) -> None:
    jump(HOUR)
    lease = leases.claim(PostProcessingRun.objects.get(pk=run.pk), owner="living")
    assert lease is not None
    jump(timedelta())
    leases.write(lease)  # as its heartbeat does
    assert leases.claim(PostProcessingRun.objects.get(pk=run.pk), owner="other") is None


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_run_that_waits_goes_on_whichever_way_the_clock_jumps(
    run: PostProcessingRun, jump: Jump, hours: int, drive: Callable[..., Any]
) -> None:
    fakes.SCRIPT["structurer"] = [fakes.transient("structurer")]
    if hours < 0:
        jump(HOUR)
    assert runner.work(run.pk) == "waiting"
    jump(HOUR if hours > 0 else timedelta())
    assert recovery.reconcile().resent == 1
    assert runner.work(run.pk) == "finished"
    assert told(run) == 1
