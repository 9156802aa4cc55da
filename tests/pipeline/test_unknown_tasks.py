"""A task that a worker of another release took, which did not know its function, is sent again."""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing import Value
from types import ModuleType
from typing import Any

import pytest
from django.db.models import F
from django_q.models import OrmQ, Task
from django_q.monitor import save_task
from django_q.signing import SignedPackage
from django_q.tasks import async_task
from django_q.worker import worker

from memories.pipeline import tasks
from memories.pipeline.operations import unknown_tasks

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_journals")]
NAME = "module_of_the_next_release"


@pytest.fixture
def done() -> Iterator[list[Any]]:
    """What the next release's function was called with; ``sys.modules[NAME]`` is where this process learns of it."""
    yield []
    sys.modules.pop(NAME, None)


def deploy(done: list[Any]) -> None:
    """From here on this process runs the next release."""
    module = ModuleType(NAME)
    module.work = lambda *given: done.append(given)  # type: ignore[attr-defined]
    sys.modules[NAME] = module


def work_off() -> int:
    """Django-Q2's own worker takes what is in the queue, and its monitor keeps what came of it."""
    taken: queue.Queue[Any] = queue.Queue()
    results: queue.Queue[Any] = queue.Queue()
    messages = list(OrmQ.objects.all())
    for message in messages:
        taken.put(SignedPackage.loads(message.payload))
        message.delete()
    taken.put("STOP")
    worker(taken, results, Value("f", -1), -1)
    while not results.empty():
        save_task(results.get(), None)
    return len(messages)


def test_what_a_worker_did_not_know_is_done_by_one_that_does(done: list[Any]) -> None:
    async_task(f"{NAME}.work", "a", 1)
    assert work_off() == 1  # by the last release
    assert not Task.objects.get().success
    assert (tasks.housekeeping()["unknown"], work_off()) == (0, 0)  # the last release's housekeeping, too, waits
    deploy(done)
    assert tasks.housekeeping()["unknown"] == 1
    assert work_off() == 1
    assert done == [("a", 1)]
    assert (unknown_tasks.send_again(), work_off()) == (0, 0)


def test_what_failed_by_itself_is_not_sent_again(done: list[Any]) -> None:
    async_task("memories.pipeline.tasks.wake")  # without its argument
    async_task("memories.pipeline.tasks.wake_up", 1)  # no release knows it
    assert work_off() == 2
    assert unknown_tasks.send_again() == 0
    assert Task.objects.filter(success=False).count() == 2


def test_what_a_schedule_sends_comes_again_by_itself(done: list[Any]) -> None:
    async_task(f"{NAME}.work", group="make recaps")
    work_off()
    deploy(done)
    assert unknown_tasks.send_again() == 0


def test_a_function_that_nobody_knew_for_long_is_given_up(done: list[Any]) -> None:
    async_task(f"{NAME}.work")
    work_off()
    deploy(done)
    Task.objects.update(stopped=F("stopped") - unknown_tasks.SENT_FOR - timedelta(seconds=1))
    assert unknown_tasks.send_again() == 0
