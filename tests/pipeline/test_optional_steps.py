"""An optional step may fail in every way, and be slow: what is there already is published without it, soon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import retries, runner, service
from memories.pipeline.models import PostProcessingRun, StepAttempt, VendorCall
from memories.repository import memories as repository
from memories.shapes import Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, copied

pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """As SIGKILL would: nothing of ours runs after it."""


@pytest.fixture
def run(memory: Memory, upload: Any, heard: Any, monkeypatch: pytest.MonkeyPatch) -> PostProcessingRun:
    monkeypatch.setattr("transcription.audio.decode_to_wav", copied)
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), options={"emotional_feedback": True})


def dies(*_: Any) -> None:
    raise Killed


def driven(run: PostProcessingRun, *, passing: timedelta = timedelta()) -> tuple[PostProcessingRun, float]:
    """The run at its end, and the seconds for which it waited. After each worker ``passing`` goes by."""
    waited = 0.0
    for number in range(40):
        try:
            runner.work(run.pk, owner=f"worker-{number}")
        except Killed:
            long_ago = timezone.now() - timedelta(seconds=1)
            PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=long_ago)
        run.refresh_from_db()
        if run.state == "finished":
            return run, waited
        if run.wake_at is not None:
            waited += (run.wake_at - timezone.now()).total_seconds()
            PostProcessingRun.objects.filter(pk=run.pk).update(wake_at=timezone.now())
        for step in run.steps.exclude(started_at=None).filter(name="emotions"):
            step.started_at -= passing
            step.save()
    raise AssertionError(f"{run} did not end")


def test_a_recording_that_kills_its_worker_in_emotions_costs_the_emotions_alone(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pipeline.fakes.FakeEmotions.measure", dies)
    ended, _ = driven(run)
    assert (ended.outcome, ended.message_id, ended.dead_letter) == ("success", "emotions_missing", False)
    assert repository.get_memory(UID, MEMORY).active_transcript == "first_model"
    step = ended.steps.get(name="emotions")
    assert (step.state, step.outcome, step.attempts) == ("failed", "timeout", ended.max_claims)
    assert step.note == "The work was stopped several times before it could end."
    history = StepAttempt.objects.filter(step=step)
    assert list(history.values_list("number", "result")) == [(n + 1, "lost") for n in range(ended.max_claims)]


def test_a_run_that_kills_its_workers_is_tried_as_often_as_it_may_and_its_history_is_whole(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim of the worker that got as far as the poison counts; the last death is in the history."""
    monkeypatch.setattr("tests.pipeline.fakes.FakeStructurer.structure", dies)
    ended, _ = driven(run)
    step = ended.steps.get(name="structure")
    calls = VendorCall.objects.filter(operation="structure").count()
    assert (ended.message_id, ended.dead_letter, calls) == ("worker_died", True, ended.max_claims)
    assert (step.state, step.outcome, step.attempts) == ("failed", "timeout", ended.max_claims)
    assert list(step.history.values_list("result", flat=True)) == ["lost"] * ended.max_claims


def test_a_vendor_of_emotions_that_asks_for_patience_holds_nothing_back(run: PostProcessingRun) -> None:
    fakes.SCRIPT["emotions"] = [fakes.transient("emotions", retry_after=1700) for _ in range(9)]
    ended, waited = driven(run)
    assert (ended.outcome, ended.message_id) == ("success", "emotions_missing")
    assert waited < retries.OPTIONAL_PATIENCE + 60


def test_however_often_emotions_are_tried_they_have_a_few_minutes_in_all(run: PostProcessingRun) -> None:
    fakes.SCRIPT["emotions"] = [fakes.transient("emotions", retry_after=100) for _ in range(9)]
    ended, waited = driven(run, passing=timedelta(seconds=100))
    assert (ended.outcome, ended.message_id) == ("success", "emotions_missing")
    assert waited < retries.OPTIONAL_PATIENCE + 60
    assert fakes.count("emotions", "measure") < 5


def test_emotions_that_come_after_a_short_failure_are_there(run: PostProcessingRun) -> None:
    fakes.SCRIPT["emotions"] = [fakes.transient("emotions")]
    ended, _ = driven(run)
    assert (ended.message_id, ended.steps.get(name="emotions").state) == ("success", "done")
