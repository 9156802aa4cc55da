"""Groups of failures: counted when a run fails, and what staff decide about them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.console import failures, figures, radar
from memories.console.models import FailedRun, FailureGroup, FailureHour, FigureSnapshot
from memories.pipeline import service
from memories.pipeline.engine import checkpoints
from memories.pipeline.models import FigureTotal, PostProcessingRun
from omi.core.errors import Outcome
from tests.console.conftest import failed_run


def state() -> str:
    line = failures.line(FailureGroup.objects.get().pk)
    assert line is not None
    return line.state


def test_many_failures_of_one_kind_are_one_line_and_each_is_counted_once(db: None) -> None:
    runs = [failed_run(number) for number in range(12)]
    group = FailureGroup.objects.get()
    assert (group.count, group.users) == (12, 3)
    assert sum(FailureHour.objects.values_list("count", flat=True)) == 12
    for run in runs:
        assert failures.count(run.pk, run.uid, step="transcribe", vendor="fal", message_id="vendor_quota") is None
    group.refresh_from_db()
    assert group.count == 12
    failed_run(99, vendor="soniox")
    assert FailureGroup.objects.count() == 2


def test_a_run_that_ends_badly_is_counted_in_the_same_transaction_and_a_canceled_one_is_not(db: None) -> None:
    from django.db.models import Q

    run = service.start("reprocess", "alice", "m-1", actor="test")
    assert checkpoints.finish_idle(run, Outcome.TIMEOUT, "worker_died", when=Q(), actor="test", dead_letter=True)
    found = FailedRun.objects.get()
    assert (found.run_id, found.uid, found.group.message_id) == (run.pk, "alice", "worker_died")
    other = service.start("reprocess", "alice", "m-2", actor="test")
    service.cancel(other, actor="test")
    assert FailedRun.objects.count() == 1


def test_a_count_that_fails_ends_the_run_all_the_same_and_is_caught_up(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db.models import Q

    real = failures.FailedRun.objects.create

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no")

    monkeypatch.setattr(failures.FailedRun.objects, "create", broken)
    run = service.start("reprocess", "alice", "m-1", actor="test")
    assert checkpoints.finish_idle(run, Outcome.TIMEOUT, "worker_died", when=Q(), actor="test")
    monkeypatch.setattr(failures.FailedRun.objects, "create", real)
    run.refresh_from_db()
    assert run.state == "finished"
    assert not FailedRun.objects.exists()
    assert failures.catch_up() == 1
    assert failures.catch_up() == 0
    assert FailureGroup.objects.get().count == 1


def test_what_was_resolved_and_comes_again_has_regressed(db: None) -> None:
    failed_run(1)
    failures.resolve(FailureGroup.objects.get())
    assert state() == "resolved"
    failed_run(2)
    assert state() == "regressed"


@pytest.mark.parametrize("bound", [{"more": 2}, {"more_users": 1}])
def test_what_is_ignored_is_open_again_at_its_bound(db: None, bound: dict[str, int]) -> None:
    failed_run(1, uid="a")
    failures.ignore(FailureGroup.objects.get(), **bound)
    assert state() == "ignored"
    if "more" in bound:
        failed_run(2, uid="a")
        assert state() == "ignored"
    failed_run(3, uid="b")
    assert state() == "new"


def test_what_is_ignored_until_a_day_is_open_from_then_on(db: None) -> None:
    failed_run(1)
    group = FailureGroup.objects.get()
    failures.ignore(group, until=timezone.now() + timedelta(days=2))
    FailureGroup.objects.update(ignored_until=timezone.now() - timedelta(seconds=1))
    failed_run(2)
    assert FailureGroup.objects.get().status == "open"
    with pytest.raises(ValueError):
        failures.ignore(group)


def test_the_day_opens_it_again_though_nothing_fails(db: None) -> None:
    """It stayed away from the home until the next run failed, and the page of ignored ones called it new."""

    def listed(*statuses: str) -> list[int]:
        return [line.group.pk for line in failures.lines(statuses=statuses)]

    failed_run(1)
    group = FailureGroup.objects.get()
    failures.ignore(group, until=timezone.now() + timedelta(days=2), more=100)
    assert (listed("open"), listed("ignored"), state()) == ([], [group.pk], "ignored")
    FailureGroup.objects.update(ignored_until=timezone.now() - timedelta(seconds=1))
    assert (listed("open"), listed("ignored"), state()) == ([group.pk], [], "new")
    assert listed("open", "ignored", "resolved") == [group.pk]
    assert failures.of_status(["ignored", "resolved"]).count() == 0


def test_a_group_that_grows_fast_escalates(db: None) -> None:
    now = timezone.now()
    for hour in range(3, 20):
        failed_run(hour, at=now - timedelta(hours=hour))
    FailureGroup.objects.update(first_seen=now - timedelta(days=9))
    assert state() == "ongoing"
    for number in range(100, 112):
        failed_run(number)
    assert state() == "escalating"


def test_today_is_the_difference_to_the_totals_of_the_morning(db: None) -> None:
    key = '["memory_vendor_cost_dollars", "fal"]'
    calls = '["memory_vendor_calls", "fal", "transcribe", "success"]'
    waits = {f'["memory_vendor_latency_seconds", "fal", "transcribe", "{limit}"]': value
             for limit, value in {"0.5": 1, "1.0": 8, "2.5": 10, "count": 10}.items()}  # fmt: skip
    FigureTotal.objects.create(key=key, value=5)
    FigureTotal.objects.create(key=calls, value=90)
    assert figures.snapshot()
    assert not figures.snapshot()
    FigureTotal.objects.filter(key=key).update(value=7.5)
    FigureTotal.objects.filter(key=calls).update(value=100)
    FigureTotal.objects.bulk_create(FigureTotal(key=name, value=value) for name, value in waits.items())
    today = figures.today()
    assert today.spent == 2.5
    (vendor,) = today.vendors
    assert (vendor.calls, vendor.success, vendor.p50, vendor.p95) == (10, 1.0, 1.0, 2.5)
    assert FigureSnapshot.objects.count() == 1


def test_the_radar_tells_the_ways_of_being_stuck_apart(db: None) -> None:
    now = timezone.now()
    held = {"state": "running", "lease_owner": "host:1:2", "fence": 1}

    def run(memory_id: str, **fields: Any) -> int:
        made = service.start("reprocess", "alice", memory_id, actor="test")
        row = PostProcessingRun.objects.filter(pk=made.pk)
        if fields.get("state") == "waiting":  # only what is at work is suspended
            row.update(**held, lease_until=now)
            fields |= {"lease_owner": "", "lease_until": None}
        row.update(**fields)
        return made.pk

    long_ago = now - timedelta(hours=3)
    expected = {
        run("m-1", created_at=long_ago): "waiting",
        run("m-2", **held, lease_until=now - timedelta(minutes=9), heartbeat_at=now - timedelta(minutes=10)): "lost",
        run("m-3", **held, lease_until=now + timedelta(seconds=9), heartbeat_at=now - timedelta(seconds=50)): "frozen",
        run("m-4", state="waiting", due_at=now - timedelta(minutes=30)): "lost",
    }
    run("m-5", **held, lease_until=now + timedelta(seconds=50), heartbeat_at=now)
    run("m-6", state="waiting", due_at=now + timedelta(minutes=1))
    run("m-7")
    found = radar.look()
    assert {item.run.pk: item.kind for item in found.stuck} == expected
    assert next(iter(found.stuck)).kind == "waiting"
    assert found.counts == {"lost": 2, "frozen": 1, "waiting": 1}
    assert [row["runs"] for row in found.by_worker] == [3]


def test_erasing_the_user_takes_what_groups_know_of_them(db: None) -> None:
    failed_run(1, uid="alice")
    failed_run(2, uid="bob")
    service.forget_user("alice")
    assert list(FailedRun.objects.values_list("uid", flat=True)) == ["bob"]
    assert FailureGroup.objects.get().count == 2
