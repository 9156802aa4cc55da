"""Users take turns: whoever has a hundred runs in the queue keeps nobody else waiting for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import runner, service, tasks
from memories.pipeline.engine import fairness
from memories.pipeline.engine import lease as leases
from memories.pipeline.models import PostProcessingRun, UserTurn
from memories.pipeline.states import State

pytestmark = pytest.mark.django_db


def queued(uid: str, count: int) -> list[int]:
    return [service.start("reprocess", uid, f"{uid}-{number}", actor="test").pk for number in range(count)]


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Runs in the order in which workers took them; each ends at once."""
    order: list[int] = []

    def work(run_id: int, **more: Any) -> str:
        run = PostProcessingRun.objects.get(pk=run_id)
        lease = leases.claim(run)
        if lease is None:
            return "not_claimed"
        fairness.took_turn(run.uid)
        leases.change(lease, State.FINISHED, outcome="success", message_id="success")
        order.append(run_id)
        return "finished"

    monkeypatch.setattr(runner, "work", work)
    return order


def test_another_users_run_does_not_wait_for_a_hundred(worked: list[int]) -> None:
    many = queued("many", 100)
    [one] = queued("one", 1)
    for message in (*many, one):
        tasks.wake(message)
    assert worked.index(one) <= 1
    assert sorted(worked) == sorted([*many, one]), "there is a message for each, whoever is taken first"


def test_two_users_take_turns(worked: list[int]) -> None:
    first, second = queued("first", 6), queued("second", 6)
    for message in (*first, *second):
        tasks.wake(message)
    assert [run in first for run in worked] == [True, False] * 6


def test_who_has_runs_at_work_waits_for_who_has_none() -> None:
    busy, idle = queued("busy", 2), queued("idle", 1)
    assert leases.claim(PostProcessingRun.objects.get(pk=busy[0])) is not None
    UserTurn.objects.create(uid="busy", at=timezone.now() - timedelta(hours=1))
    UserTurn.objects.create(uid="idle", at=timezone.now())
    assert fairness.choose(busy[1]) == idle[0]


def test_a_run_whose_worker_died_does_not_count_as_at_work() -> None:
    """Else its user would wait for it to end, and it for its user's turn."""
    [left], [new] = queued("left", 1), queued("new", 1)
    assert leases.claim(PostProcessingRun.objects.get(pk=left), owner="killed") is not None
    PostProcessingRun.objects.filter(pk=left).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert fairness.choose(new) == left


def test_who_had_a_turn_is_not_overtaken_by_everybody_who_comes_later_and_had_none() -> None:
    UserTurn.objects.create(uid="before", at=timezone.now() - timedelta(hours=1))
    [mine], [newcomer] = queued("before", 1), queued("newcomer", 1)
    assert fairness.choose(newcomer) == mine


def test_alone_a_user_is_given_what_the_message_names() -> None:
    runs = queued("only", 3)
    assert fairness.choose(runs[2]) == runs[2]


def test_a_message_whose_run_has_ended_serves_another(worked: list[int]) -> None:
    first, second = queued("first", 1), queued("second", 1)
    tasks.wake(second[0])
    tasks.wake(second[0])
    assert sorted(worked) == sorted(first + second)


def test_a_run_that_somebody_else_takes_at_this_moment_costs_no_turn(
    worked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = queued("first", 1), queued("second", 1)
    real, stolen = fairness.choose, []

    def choose(run_id: int) -> int:
        chosen = real(run_id)
        if not stolen:
            stolen.append(chosen)
            leases.claim(PostProcessingRun.objects.get(pk=chosen), owner="somebody")
        return chosen

    monkeypatch.setattr(fairness, "choose", choose)
    tasks.wake(second[0])
    assert stolen == first
    assert worked == second


def test_turns_are_erased_with_the_user() -> None:
    queued("ana", 1)
    fairness.took_turn("ana")
    service.forget_user("ana")
    assert not UserTurn.objects.exists()
