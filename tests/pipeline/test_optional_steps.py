"""An optional step may fail in every way, and be slow: what is there already is published without it, soon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import runner, service
from memories.pipeline.engine import retry_policy
from memories.pipeline.models import PostProcessingRun, StepArtifact, StepAttempt, VendorCall
from memories.pipeline.steps import emotions
from memories.pipeline.vendor_calls import records
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core.partial_results import part_id
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, copied
from tests.pipeline.late import Begin, Gate, at_work, begin, called_back, due, gate, pending, suspend, until

__all__ = ["begin", "gate"]
pytestmark = pytest.mark.django_db


class Killed(BaseException):
    """As SIGKILL would: nothing of ours runs after it."""


@pytest.fixture
def run(memory: Memory, upload: Any, heard: Any, monkeypatch: pytest.MonkeyPatch) -> PostProcessingRun:
    monkeypatch.setattr("transcription.audio.convert.decode_to_wav", copied)
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
        if run.due_at is not None:
            waited += (run.due_at - timezone.now()).total_seconds()
            PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())
        for step in run.steps.exclude(deadline_at=None).filter(name="emotions"):
            step.deadline_at -= passing
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
    assert waited < retry_policy.OPTIONAL_PATIENCE + 60


def test_however_often_emotions_are_tried_they_have_a_few_minutes_in_all(run: PostProcessingRun) -> None:
    fakes.SCRIPT["emotions"] = [fakes.transient("emotions", retry_after=100) for _ in range(9)]
    ended, waited = driven(run, passing=timedelta(seconds=100))
    assert (ended.outcome, ended.message_id) == ("success", "emotions_missing")
    assert waited < retry_policy.OPTIONAL_PATIENCE + 60
    assert fakes.count("emotions", "measure") < 5


def test_emotions_that_come_after_a_short_failure_are_there(run: PostProcessingRun) -> None:
    fakes.SCRIPT["emotions"] = [fakes.transient("emotions")]
    ended, _ = driven(run)
    assert (ended.message_id, ended.steps.get(name="emotions").state) == ("success", "done")


def test_what_kills_the_worker_before_emotions_are_asked_for_is_known_to_be_that_step(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is written when it ends, so that the row of the run names the step that follows it."""
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT)]  # what is shown already: nobody is paid between it and emotions
    monkeypatch.setattr(emotions.client, "ask", _only(emotions.client.ask, "emotions"))
    ended, _ = driven(run)
    assert (ended.steps.get(name="structure").state, ended.steps.get(name="index").state) == ("skipped", "skipped")
    assert (ended.outcome, ended.dead_letter, ended.steps.get(name="emotions").outcome) == ("success", False, "timeout")


def _only(real: Any, operation: str) -> Any:
    def ask(ctx: Any, question: Any, *more: Any) -> Any:
        return dies() if question.operation == operation else real(ctx, question, *more)

    return ask


# --- a call that is out ---

THREADS = pytest.mark.django_db(transaction=True)


def passes(run: PostProcessingRun, seconds: float) -> None:
    """So much time goes by since the step began, and the run is due if it is not yet."""
    step = at_work(run)
    assert step.deadline_at is not None
    step.deadline_at -= timedelta(seconds=seconds)
    step.save(update_fields=["deadline_at"])
    if not called_back(run):
        due(run)


def wakes_in(run: PostProcessingRun) -> float:
    run.refresh_from_db()
    assert run.due_at is not None
    return (run.due_at - timezone.now()).total_seconds()


@THREADS
def test_a_call_that_is_out_is_gone_on_without_when_the_patience_is_over(begin: Begin, gate: Gate) -> None:
    run = suspend(begin("emotions", gate()))
    passes(run, retry_policy.OPTIONAL_PATIENCE - 20)
    suspend(run)
    assert wakes_in(run) < 25, "it is looked at then, and not at the call's own deadline"
    passes(run, 30)
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    step = run.steps.get(name="emotions")
    assert (run.outcome, run.message_id, step.state, step.outcome) == (
        "success",
        "emotions_missing",
        "failed",
        "timeout",
    )
    assert [row.vendor for row in step.history.all()] == ["emotions"]
    gate.answers()
    assert [row.outcome for row in VendorCall.objects.filter(step="emotions")] == ["success"], "it is billed"
    assert fakes.count("emotions", "measure") == 1
    assert not VendorCall.objects.filter(answer__isnull=False).exists(), "nobody wants it any more"
    assert (run.state, run.steps.get(name="publish").state) == ("finished", "done")


@THREADS
def test_an_answer_that_came_is_taken_however_late_a_worker_is(begin: Begin, gate: Gate) -> None:
    run = suspend(begin("emotions", gate()))
    gate.answers()
    passes(run, 3600)
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.message_id, run.steps.get(name="emotions").state) == ("success", "done")
    assert fakes.count("emotions", "measure") == 1


@THREADS
def test_whoever_comes_after_the_patience_asks_nobody_any_more(begin: Begin, gate: Gate) -> None:
    run = begin("emotions", fakes.transient("emotions"))
    suspend(run)
    passes(run, 3600)
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.message_id, fakes.count("emotions", "measure")) == ("emotions_missing", 1)


@THREADS
def test_the_parts_of_a_long_answer_do_not_put_the_end_off(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part gives the call its whole time again, and gave it to the wait for it, too."""
    real, second = fakes.FakeEmotions.measure, Gate()

    def measure(self: Any, request: Any) -> Any:
        gate()()
        request.parts.keep(part_id("one"), {"spans": 1})
        second()()
        return real(self, request)

    monkeypatch.setattr(fakes.FakeEmotions, "measure", measure)
    run = suspend(begin())
    passes(run, retry_policy.OPTIONAL_PATIENCE - 20)
    suspend(run)
    gate.open()
    until(second.reached.is_set)
    assert records.seconds_left(pending()) > 150
    assert wakes_in(run) < 25
    passes(run, 30)
    assert runner.work(run.pk) == "finished"
    second.answers()
    run.refresh_from_db()
    assert run.message_id == "emotions_missing"
    assert StepArtifact.objects.filter(name__startswith="part:").count() == 1, "a retry does not pay for it again"
