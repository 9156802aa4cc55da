"""No worker waits for a vendor: a run with a slow call is suspended, and the answer is stored when it comes."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from memories.pipeline import runner
from memories.pipeline.engine import checkpoints
from memories.pipeline.engine.lease import machine
from memories.pipeline.models import PostProcessingRun, StepArtifact, StepAttempt, VendorBreaker, VendorCall
from memories.pipeline.vendor_calls import executor, partial_results, patience, records
from memories.repository import memories as repository
from memories.shapes import Structured
from memories.structuring.base import StructureRequest, StructureResult
from omi.core.errors import ErrorKind, Outcome, ProviderError
from omi.core.partial_results import part_id
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, live_segments
from tests.pipeline.late import (
    OPERATION,
    PATIENCE,
    VENDOR,
    Begin,
    Gate,
    answers,
    at_work,
    begin,
    called_back,
    due,
    gate,
    pending,
    suspend,
)
from transcription.vendors.batch.base import JobLost

__all__ = ["begin", "gate"]
pytestmark = pytest.mark.django_db(transaction=True)

SLOW = pytest.mark.parametrize("slow", list(VENDOR))
DEAD = f"{machine()}:999999999:1"


# --- in time ---


def test_an_answer_in_time_leaves_the_same_rows_as_a_call_without_a_thread(
    begin: Begin, gate: Gate, settings: Any
) -> None:
    """A transaction around the run makes the worker call the vendors itself."""
    settings.OMI_CALL_PATIENCE_SECONDS = 20.0

    def rows(run: PostProcessingRun) -> list[Any]:
        calls = VendorCall.objects.filter(run=run).order_by("id")
        results = StepArtifact.objects.filter(step__run=run).order_by("step__position", "name")
        return [
            *calls.values_list("step", "operation", "outcome", "duplicate", "owner", "answer"),
            *results.values_list("step__name", "name", "sha256"),
            *run.steps.values_list("name", "state", "outcome", "attempts", "checkpoint"),
        ]

    threaded = begin()
    assert runner.work(threaded.pk) == "finished"
    found = rows(threaded)
    as_before()
    here = begin()
    with transaction.atomic():
        assert runner.work(here.pk) == "finished"
    assert rows(here) == found
    assert fakes.count("first", "submit") == 2


def test_a_part_is_kept_by_the_thread_that_was_answered(begin: Begin, monkeypatch: Any) -> None:
    threads: list[tuple[str, str]] = []
    real = partial_results.StoredPartialResults.keep

    def keep(self: Any, part: str, answer: Any) -> None:
        threads.append(("keep", threading.current_thread().name))
        real(self, part, answer)

    def structure(self: Any, request: StructureRequest) -> StructureResult:
        threads.append(("vendor", threading.current_thread().name))
        request.parts.keep(part_id("one"), {"said": 1})
        assert request.parts.get(part_id("one")) == {"said": 1}
        return StructureResult(Structured(title="In parts", overview="Two of them."), method="fake-llm")

    monkeypatch.setattr(partial_results.StoredPartialResults, "keep", keep)
    monkeypatch.setattr(fakes.FakeStructurer, "structure", structure)
    assert runner.work(begin().pk) == "finished"
    [(_, asked_in), (_, kept_in)] = threads
    assert asked_in.startswith("call")
    assert kept_in == asked_in
    assert not StepArtifact.objects.filter(name__startswith=StepArtifact.PART).exists(), "they go with the result"


def test_what_the_call_raises_in_time_is_what_the_step_raises(begin: Begin) -> None:
    run = begin("structure", fakes.permanent("structurer", Outcome.CONFIG_ERROR))
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.message_id, run.outcome) == ("not_configured", "config_error")


def as_before() -> None:
    """No run has touched the memory."""
    PostProcessingRun.objects.all().delete()
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    shown = {"transcript_segments": live_segments(), "active_transcript": "deepgram_streaming"}
    repository.update_memory(UID, MEMORY, shown)


# --- late ---


@SLOW
def test_a_slow_vendor_holds_no_worker_and_is_asked_once(begin: Begin, gate: Gate, slow: str) -> None:
    run = begin(slow, gate())
    assert runner.work(run.pk) == "waiting", "though the vendor answers only when the gate is open"
    run.refresh_from_db()
    step = at_work(run)
    assert (run.state, run.claims, run.lease_owner, step.name, step.state) == ("waiting", 0, "", slow, "waiting")
    assert step.note == f"{VENDOR[slow]}: asked, answers later"
    assert step.attempts == 0
    out = pending()
    assert run.due_at is not None
    assert out.limit <= (run.due_at - timezone.now()).total_seconds() <= out.limit + patience.MARGIN + 1
    assert [row.outcome for row in VendorCall.objects.filter(step=slow)] == [""], "nobody has seen its end yet"
    gate.answers()
    assert called_back(run)
    [row] = VendorCall.objects.filter(step=slow)
    assert (row.outcome, row.latency is not None and row.latency >= PATIENCE) == ("success", True)
    assert row.cost > 0 or row.audio_seconds > 0 or slow == "emotions"
    assert len(answers()) == 1
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.outcome, run.message_id) == ("success", "success")
    assert fakes.count(VENDOR[slow], OPERATION[slow]) == 1
    assert not VendorCall.objects.filter(duplicate=True).exists()
    assert answers() == [], "it goes with the step's result"
    assert StepAttempt.objects.filter(step__run=run).count() == sum(run.steps.values_list("attempts", flat=True))


@SLOW
def test_a_late_answer_is_the_same_as_one_in_time(begin: Begin, gate: Gate, slow: str) -> None:
    """Output and artifacts of the step do not show which way the answer came."""
    run = begin(slow, gate())
    if slow == "transcribe":  # the same words as in time
        fakes.SCRIPT["first"] = [gate(fakes.words(fakes.TEXT + " then"))]
    suspend(run)
    gate.answers()
    assert runner.work(run.pk) == "finished"
    late = run.steps.get(name=slow)
    results = {item.name: item.sha256 for item in late.artifacts.all()}
    as_before()
    again = begin()
    assert runner.work(again.pk) == "finished"
    early = again.steps.get(name=slow)
    assert (late.output, late.note) == (early.output, early.note)
    assert results == {item.name: item.sha256 for item in early.artifacts.all()}


@SLOW
def test_an_error_that_comes_late_counts_as_if_it_had_come_in_time(begin: Begin, gate: Gate, slow: str) -> None:
    vendor = VENDOR[slow]
    run = begin(slow, gate(fakes.transient(vendor)))
    suspend(run)
    gate.answers()
    assert called_back(run)
    [row] = VendorCall.objects.filter(step=slow)
    assert (row.outcome, row.error_kind, row.error_code) == ("upstream_error", "transient", "503")
    assert VendorBreaker.objects.get(pk=vendor).failures == 1
    suspend(run)
    step = at_work(run)
    assert [item["count"] for item in step.checkpoint["failures"].values()] == [1]
    [tried] = StepAttempt.objects.filter(step=step)
    assert (tried.result, tried.vendor, tried.error_code) == ("retry", vendor, "503")
    assert "answers later" not in step.note
    due(run)
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert run.outcome == "success"
    assert fakes.count(vendor, OPERATION[slow]) == 2
    assert not VendorCall.objects.filter(duplicate=True).exists(), "a call that failed may be made again"
    assert not VendorBreaker.objects.filter(pk=vendor, failures__gt=0).exists(), "the success closed it"
    assert answers() == []


def test_a_refusal_that_comes_late_asks_the_next_provider(begin: Begin, gate: Gate, settings: Any) -> None:
    settings.PROVIDERS = fakes.providers(settings.PROVIDERS, {"name": "first"}, {"name": "second"})
    run = begin("transcribe", gate(fakes.permanent()))
    suspend(run)
    gate.answers()
    fakes.SCRIPT["second"] = [fakes.words(fakes.TEXT + " then")]
    assert runner.work(run.pk) == "finished"
    assert run.steps.get(name="transcribe").output["vendor"] == "second"
    assert (fakes.count("first", "submit"), fakes.count("second", "submit")) == (1, 1)
    assert VendorCall.objects.get(vendor="first").outcome == "upstream_error"


def test_a_fault_of_ours_in_a_late_call_is_tried_again_and_ends_like_one(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate(ZeroDivisionError("a fault of ours")))
    suspend(run)
    gate.answers()
    assert called_back(run)
    suspend(run)
    assert at_work(run).checkpoint["failures"]["structure/omi"]["count"] == 1


def test_an_answer_that_is_no_json_is_a_fault_of_ours(begin: Begin, gate: Gate) -> None:
    """Not a call that nobody hears of again until its deadline."""
    run = begin("structure", gate(StructureResult(object(), method="fake-llm")))  # type: ignore[arg-type]
    suspend(run)
    gate.answers()
    assert called_back(run)
    suspend(run)
    assert at_work(run).checkpoint["failures"]["structure/omi"]["count"] == 1


def test_an_error_keeps_what_the_pipeline_reads_of_it() -> None:
    lost = JobLost("fal", "no such job", kind=ErrorKind.TRANSIENT, code="unknown_job", retry_after=100.0)
    stored = records._packed(lost)["error"]
    stored["at"] -= 40.0
    again = records._error(stored)
    assert isinstance(again, JobLost)
    assert (again.vendor, again.message, again.kind, again.code) == ("fal", "no such job", lost.kind, "unknown_job")
    assert again.retry_after == pytest.approx(60.0, abs=1.0), "the vendor meant: from then on"
    money = ProviderError("openai", "no money", kind=ErrorKind.QUOTA, code="402", outcome=Outcome.QUOTA)
    assert records._error(records._packed(money)["error"]).outcome is Outcome.QUOTA


# --- the moments in between ---


def test_an_answer_between_the_last_wait_and_the_suspend_is_not_lost(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin("structure", gate())
    real = checkpoints.suspend

    def answered_first(*given: Any, **named: Any) -> None:
        gate.answers()  # stored, and nobody waits yet: its wake-up finds the run at work
        real(*given, **named)

    monkeypatch.setattr(checkpoints, "suspend", answered_first)
    assert runner.work(run.pk) == "waiting"
    assert called_back(run), "whoever put it down looked again"
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1


def test_an_answer_while_another_worker_looks_is_not_lost(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin("structure", gate())
    suspend(run)
    due(run)  # woken without a reason: it finds the call pending and suspends the run again
    real = checkpoints.suspend

    def answered_first(*given: Any, **named: Any) -> None:
        gate.answers()
        real(*given, **named)

    monkeypatch.setattr(checkpoints, "suspend", answered_first)
    assert runner.work(run.pk, owner="another") == "waiting"
    assert called_back(run)
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1


def test_a_run_that_is_woken_early_waits_on_for_the_same_call(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate())
    first = suspend(run).due_at
    for _ in range(12):  # more often than a run may be claimed without progress
        due(run)
        suspend(run)
    assert run.claims == 0
    assert run.due_at == pytest.approx(first, abs=timedelta(seconds=1)), "the deadline is the call's, not the look's"
    assert fakes.count("structurer", "structure") == 1


def test_a_worker_that_dies_with_the_answer_in_its_hand_finds_it_again(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin("structure", gate())
    suspend(run)
    gate.answers()

    class Killed(BaseException):
        pass

    def dies(*given: Any, **named: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "complete_step", dies)
        with pytest.raises(Killed):
            runner.work(run.pk)
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1
    assert not VendorCall.objects.filter(duplicate=True).exists()


def test_a_database_that_is_away_for_a_moment_loses_no_late_answer(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    run = begin("structure", gate())
    suspend(run)
    real, failures = records.store_late, [1, 1]

    def away(*given: Any) -> bool:
        if failures:
            failures.pop()
            raise OperationalError("away")
        return real(*given)

    monkeypatch.setattr(records, "store_late", away)
    monkeypatch.setattr(executor, "STORE_PAUSES", (0.01, 0.01, 0.01))
    gate.answers()
    assert called_back(run)
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1
