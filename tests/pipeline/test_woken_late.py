"""A worker that was frozen wakes up when the run is over: what it still wants to tell is refused."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from memories.pipeline import runner, service
from memories.pipeline.engine import notifications, queue
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.shapes import Memory, PostProcessingStatus
from memories.user_events import log
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, copied

pytestmark = pytest.mark.django_db

STARTED, WAITING, SUCCESS = (f"memory_post_processing_{word}" for word in ("started", "waiting", "success"))


class Killed(BaseException):
    """As SIGKILL would: nothing of ours runs after it."""


@pytest.fixture
def run(memory: Memory, upload: Any, heard: Any, monkeypatch: pytest.MonkeyPatch) -> PostProcessingRun:
    monkeypatch.setattr("transcription.audio.convert.decode_to_wav", copied)
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload())


@pytest.fixture
def once_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], Any]], None]:
    """The first worker that passes a point does something there."""

    def at(point: str, what: Callable[[], Any]) -> None:
        done: list[str] = []

        def passes(name: str) -> None:
            if name == point and not done:
                done.append(name)
                what()

        monkeypatch.setattr(runner.fault_injection, "point", passes)

    return at


def told() -> list[str]:
    return [event["type"] for event in log.after(UID, 0)]


def status() -> str:
    shown = repository.get_memory(UID, MEMORY).postprocessing
    assert shown is not None
    return str(shown.status)


def expire(run: PostProcessingRun) -> None:
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def test_a_worker_that_wakes_after_the_end_does_not_say_that_it_is_in_progress(
    run: PostProcessingRun, once_at: Any
) -> None:
    def another_ends_it() -> None:
        expire(run)
        assert runner.work(run.pk, owner="second") == "finished"

    once_at("claimed", another_ends_it)
    assert runner.work(run.pk, owner="first") == "lease_lost"
    assert (status(), told()) == ("completed", [STARTED, SUCCESS])


def test_nobody_writes_in_progress_over_an_end_of_the_same_run(run: PostProcessingRun) -> None:
    """Whoever took the upload may be slower than the run: it holds no lease that could be asked."""
    assert runner.work(run.pk) == "finished"
    assert notifications.mark(run, PostProcessingStatus.IN_PROGRESS)
    assert status() == "completed"


def test_the_beginning_is_told_with_the_first_claim_and_once(run: PostProcessingRun, once_at: Any) -> None:
    """The first worker dies right after its claim."""

    def dies() -> None:
        raise Killed

    once_at("claimed", dies)
    with pytest.raises(Killed):
        runner.work(run.pk, owner="first")
    assert told() == [STARTED]
    expire(run)
    assert runner.work(run.pk, owner="second") == "finished"
    assert told() == [STARTED, SUCCESS]


def test_the_beginning_is_told_by_the_second_worker_where_the_first_could_not(
    run: PostProcessingRun, once_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies() -> None:
        raise Killed

    def away(*_: Any, **__: Any) -> int:
        raise OperationalError("locked")

    once_at("claimed", dies)
    with monkeypatch.context() as patch:
        patch.setattr(log, "append", away)
        with pytest.raises(Killed):
            runner.work(run.pk, owner="first")
    assert told() == []
    expire(run)
    assert runner.work(run.pk, owner="second") == "finished"
    assert told() == [STARTED, SUCCESS]


def test_that_it_waits_is_not_told_after_another_worker_has_ended_it(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wake-up is sent when the run has been let go: whoever is frozen there tells nothing more."""
    fakes.SCRIPT["first"] = ["pending", fakes.words(fakes.TEXT + " then")]
    sent: list[Any] = []

    def another_ends_it(run_id: int, *, at: Any = None) -> None:
        if not sent:
            sent.append(at)
            PostProcessingRun.objects.filter(pk=run_id).update(due_at=timezone.now())
            assert runner.work(run_id, owner="second") == "finished"

    monkeypatch.setattr(queue, "wake_on_commit", another_ends_it)
    assert runner.work(run.pk, owner="first") == "waiting"
    assert told() == [STARTED, WAITING, SUCCESS]
