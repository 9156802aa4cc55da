"""No worker waits for a vendor: a call that is slow is put down, and its answer is stored when it comes."""

from __future__ import annotations

import re
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from memories import account, erasure
from memories.pipeline import (
    call_threads,
    calls,
    kept_parts,
    late_answers,
    ledger,
    metrics,
    progress,
    reconcile,
    runner,
    service,
    status,
)
from memories.pipeline.claim import machine
from memories.pipeline.context import Context
from memories.pipeline.models import PostProcessingRun, StepArtifact, StepAttempt, VendorBreaker, VendorCall
from memories.repository import memories as repository
from memories.shapes import Structured
from memories.structuring.base import StructureRequest, StructureResult
from omi.errors import ErrorKind, Outcome, ProviderError
from omi.paid_parts import part_id
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, live_segments
from tests.pipeline.late import (
    OPERATION,
    PATIENCE,
    VENDOR,
    Begin,
    Gate,
    at_work,
    begin,
    called_back,
    due,
    gate,
    kept,
    put_down,
    until,
)
from transcription.prerecorded.base import JobLost

__all__ = ["begin", "gate"]
pytestmark = pytest.mark.django_db(transaction=True)

SLOW = pytest.mark.parametrize("slow", list(VENDOR))
DEAD = f"{machine()}:999999999:1"


# --- in time ---


def test_an_answer_in_time_costs_the_database_nothing_more(begin: Begin, gate: Gate, settings: Any) -> None:
    """The same statements in the same order as without a thread (which a transaction around it forces)."""
    settings.OMI_CALL_PATIENCE_SECONDS = 20.0

    def statements(run: PostProcessingRun, threads: bool) -> list[str]:
        with CaptureQueriesContext(connection) as made:
            if threads:
                assert runner.work(run.pk) == "finished"
            else:
                with transaction.atomic():
                    assert runner.work(run.pk) == "finished"
        whole = [
            re.match(r'(\w+).*?(?:FROM|INTO|UPDATE)? ?"(pipeline_\w+)"', query["sql"], re.DOTALL) for query in made
        ]
        return [f"{found[1]} {found[2]}" for found in whole if found]

    assert runner.work(begin().pk) == "finished"  # the first one makes the user's counters
    as_before()
    threaded = statements(begin(), threads=True)
    as_before()
    assert statements(begin(), threads=False) == threaded
    assert len(threaded) > 30
    assert fakes.count("first", "submit") == 3


def test_while_the_worker_waits_it_does_the_calls_database_work_itself(begin: Begin, monkeypatch: Any) -> None:
    threads: list[tuple[str, str]] = []
    real = kept_parts.KeptParts.keep

    def keep(self: Any, part: str, answer: Any) -> None:
        threads.append(("keep", threading.current_thread().name))
        real(self, part, answer)

    def structure(self: Any, request: StructureRequest) -> StructureResult:
        threads.append(("vendor", threading.current_thread().name))
        request.parts.keep(part_id("one"), {"said": 1})
        assert request.parts.get(part_id("one")) == {"said": 1}
        return StructureResult(Structured(title="In parts", overview="Two of them."), method="fake-llm")

    monkeypatch.setattr(kept_parts.KeptParts, "keep", keep)
    monkeypatch.setattr(fakes.FakeStructurer, "structure", structure)
    assert runner.work(begin().pk) == "finished"
    assert threads == [("vendor", "call-structure"), ("keep", threading.current_thread().name)]
    assert not StepArtifact.objects.filter(kept_parts.IN_BETWEEN).exists()


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
    began = time.monotonic()
    assert runner.work(run.pk) == "waiting"
    assert time.monotonic() - began < PATIENCE + 2.5, "the other steps' time included"
    run.refresh_from_db()
    step = at_work(run)
    assert (run.state, run.claims, run.lease_owner, step.name, step.state) == ("waiting", 0, "", slow, "waiting")
    assert step.note == f"{VENDOR[slow]}: asked, answers later"
    assert step.attempts == 0
    out = late_answers.of(step.checkpoint)
    assert out is not None
    assert run.wake_at is not None
    assert out.limit <= (run.wake_at - timezone.now()).total_seconds() <= out.limit + late_answers.MARGIN + 1
    assert [row.outcome for row in VendorCall.objects.filter(step=slow)] == [""], "nobody has seen its end yet"
    gate.answers()
    assert called_back(run)
    [row] = VendorCall.objects.filter(step=slow)
    assert (row.outcome, row.latency is not None and row.latency >= PATIENCE) == ("success", True)
    assert row.cost > 0 or row.audio_seconds > 0 or slow == "emotions"
    assert len(kept()) == 1
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.outcome, run.message_id) == ("success", "success")
    assert fakes.count(VENDOR[slow], OPERATION[slow]) == 1
    assert not VendorCall.objects.filter(doubled=True).exists()
    assert kept() == [], "it goes with the step's result"
    assert StepAttempt.objects.filter(step__run=run).count() == sum(run.steps.values_list("attempts", flat=True))


@SLOW
def test_a_late_answer_is_the_same_as_one_in_time(begin: Begin, gate: Gate, slow: str) -> None:
    """Output and artifacts of the step do not show which way the answer came."""
    run = begin(slow, gate())
    if slow == "transcribe":  # the same words as in time
        fakes.SCRIPT["first"] = [gate(fakes.words(fakes.TEXT + " then"))]
    put_down(run)
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
    put_down(run)
    gate.answers()
    assert called_back(run)
    [row] = VendorCall.objects.filter(step=slow)
    assert (row.outcome, row.error_kind, row.error_code) == ("upstream_error", "transient", "503")
    assert VendorBreaker.objects.get(pk=vendor).failures == 1
    put_down(run)
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
    assert not VendorCall.objects.filter(doubled=True).exists(), "a call that failed may be made again"
    assert not VendorBreaker.objects.filter(pk=vendor, failures__gt=0).exists(), "the success closed it"
    assert kept() == []


def test_a_refusal_that_comes_late_asks_the_next_provider(begin: Begin, gate: Gate, settings: Any) -> None:
    settings.PROVIDERS = fakes.providers(settings.PROVIDERS, {"name": "first"}, {"name": "second"})
    run = begin("transcribe", gate(fakes.permanent()))
    put_down(run)
    gate.answers()
    fakes.SCRIPT["second"] = [fakes.words(fakes.TEXT + " then")]
    assert runner.work(run.pk) == "finished"
    assert run.steps.get(name="transcribe").output["vendor"] == "second"
    assert (fakes.count("first", "submit"), fakes.count("second", "submit")) == (1, 1)
    assert VendorCall.objects.get(vendor="first").outcome == "upstream_error"


def test_a_fault_of_ours_in_a_late_call_is_tried_again_and_ends_like_one(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate(ZeroDivisionError("a fault of ours")))
    put_down(run)
    gate.answers()
    assert called_back(run)
    put_down(run)
    assert at_work(run).checkpoint["failures"]["structure/omi"]["count"] == 1


def test_an_error_keeps_what_the_pipeline_reads_of_it() -> None:
    lost = JobLost("fal", "no such job", kind=ErrorKind.TRANSIENT, code="unknown_job", retry_after=100.0)
    stored = late_answers._error(lost)["error"]
    stored["at"] -= 40.0
    again = late_answers._raised(stored)
    assert isinstance(again, JobLost)
    assert (again.vendor, again.message, again.kind, again.code) == ("fal", "no such job", lost.kind, "unknown_job")
    assert again.retry_after == pytest.approx(60.0, abs=1.0), "the vendor meant: from then on"
    money = ProviderError("openai", "no money", kind=ErrorKind.QUOTA, code="402", outcome=Outcome.QUOTA)
    assert late_answers._raised(late_answers._error(money)["error"]).outcome is Outcome.QUOTA


# --- the moments in between ---


def test_an_answer_between_the_last_wait_and_the_put_down_is_not_lost(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin("structure", gate())
    real = progress.put_down

    def answered_first(*given: Any, **named: Any) -> None:
        gate.answers()  # stored, and nobody waits yet: its wake-up finds the run at work
        real(*given, **named)

    monkeypatch.setattr(progress, "put_down", answered_first)
    assert runner.work(run.pk) == "waiting"
    assert called_back(run), "whoever put it down looked again"
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1


def test_an_answer_while_another_worker_looks_is_not_lost(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin("structure", gate())
    put_down(run)
    due(run)  # woken without a reason: it finds the call out and puts the run down again
    real = progress.put_down

    def answered_first(*given: Any, **named: Any) -> None:
        gate.answers()
        real(*given, **named)

    monkeypatch.setattr(progress, "put_down", answered_first)
    assert runner.work(run.pk, owner="another") == "waiting"
    assert called_back(run)
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1


def test_a_run_that_is_woken_early_waits_on_for_the_same_call(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate())
    first = put_down(run).wake_at
    for _ in range(12):  # more often than a run may be claimed without progress
        due(run)
        put_down(run)
    assert run.claims == 0
    assert run.wake_at == pytest.approx(first, abs=timedelta(seconds=1)), "the deadline is the call's, not the look's"
    assert fakes.count("structurer", "structure") == 1


def test_a_worker_that_dies_with_the_answer_in_its_hand_finds_it_again(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin("structure", gate())
    put_down(run)
    gate.answers()

    class Killed(BaseException):
        pass

    def dies(*given: Any, **named: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(progress, "ended", dies)
        with pytest.raises(Killed):
            runner.work(run.pk)
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1
    assert not VendorCall.objects.filter(doubled=True).exists()


def test_a_database_that_is_away_for_a_moment_loses_no_late_answer(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    run = begin("structure", gate())
    put_down(run)
    real, failures = late_answers.hand_in, [1, 1]

    def away(*given: Any) -> bool:
        if failures:
            failures.pop()
            raise OperationalError("away")
        return real(*given)

    monkeypatch.setattr(late_answers, "hand_in", away)
    monkeypatch.setattr(call_threads, "HANDING_IN", (0.01, 0.01, 0.01))
    gate.answers()
    assert called_back(run)
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 1


# --- nobody wants it any more ---


@SLOW
def test_a_cancel_ends_the_run_at_once_and_the_late_answer_only_costs(begin: Begin, gate: Gate, slow: str) -> None:
    run = begin(slow, gate())
    put_down(run)
    service.cancel(run, actor="user")
    run.refresh_from_db()
    assert (run.state, run.outcome) == ("finished", "canceled"), "at once, though the vendor has not answered"
    gate.answers()
    before = run.fence
    run.refresh_from_db()
    assert (run.state, run.fence) == ("finished", before)
    assert kept() == []
    [row] = VendorCall.objects.filter(step=slow)
    assert row.outcome == "success", "it will be billed"
    assert row.latency is not None


@pytest.mark.parametrize("error", [False, True], ids=["an answer", "an error"])
def test_a_memory_that_was_erased_meanwhile_gets_nothing_back(begin: Begin, gate: Gate, error: bool) -> None:
    run = begin("structure", gate(fakes.transient("structurer") if error else None))
    put_down(run)
    erasure.erase_memory(UID, MEMORY)
    gate.answers()
    assert not StepArtifact.objects.exists()
    run.refresh_from_db()
    assert (run.outcome, run.message_id) == ("canceled", "memory_gone")
    assert not any(step.checkpoint or step.note for step in run.steps.all())
    assert [row.request_key for row in VendorCall.objects.all()] == ["", ""]


@SLOW
def test_an_account_that_was_erased_meanwhile_gets_nothing_back(begin: Begin, gate: Gate, slow: str) -> None:
    put_down(begin(slow, gate()))
    account.delete_account(UID)
    gate.answers()
    assert not PostProcessingRun.objects.exists()
    assert not VendorCall.objects.exists()
    assert not StepArtifact.objects.exists()
    assert erasure.verify_user_erased(UID) == {}


def test_a_job_that_was_accepted_too_late_is_stopped_at_the_vendor(begin: Begin, gate: Gate) -> None:
    run = begin("transcribe", gate("pending"))
    put_down(run)
    service.cancel(run, actor="user")
    assert fakes.count("first", "cancel") == 0, "nobody knows of a job yet"
    gate.answers()
    assert fakes.count("first", "cancel") == 1
    assert VendorCall.objects.get(vendor="first").reference, "for the erasure at the vendor"


def test_a_job_that_was_accepted_late_and_seen_by_nobody_yet_is_stopped_by_a_cancel(begin: Begin, gate: Gate) -> None:
    run = begin("transcribe", gate("pending"))
    put_down(run)
    gate.answers()
    service.cancel(run, actor="user")
    assert fakes.count("first", "cancel") == 1


def test_a_job_that_was_accepted_late_is_polled(begin: Begin, gate: Gate) -> None:
    run = begin("transcribe", gate("pending"))
    fakes.SCRIPT["first"].append(fakes.words(fakes.TEXT + " then"))
    put_down(run)
    gate.answers()
    put_down(run)
    assert at_work(run).checkpoint["ticket"]["vendor"] == "first"
    due(run)
    assert runner.work(run.pk) == "finished"
    assert (fakes.count("first", "submit"), fakes.count("first", "poll")) == (1, 1)
    assert kept() == []


def test_a_slow_poll_holds_no_worker_either(begin: Begin, gate: Gate) -> None:
    run = begin("transcribe", "pending")
    fakes.SCRIPT["first"].append(gate(fakes.words(fakes.TEXT + " then")))
    put_down(run)
    due(run)
    put_down(run)
    assert at_work(run).note == "first: asked, answers later"
    gate.answers()
    assert runner.work(run.pk) == "finished"
    assert (fakes.count("first", "submit"), fakes.count("first", "poll")) == (1, 1)


# --- requests of several calls ---


class InParts:
    """A structurer that asks three times, each time when its gate is open, and keeps each answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gates = [Gate() for _ in range(3)]
        self.asked: list[int] = []
        made = self

        def structure(self: Any, request: StructureRequest) -> StructureResult:
            for number, way in enumerate(made.gates):
                if request.parts.get(part_id(number)) is None:
                    made.asked.append(number)
                    way()()
                    request.parts.spent(input_tokens=10, cost=0.01)
                    request.parts.keep(part_id(number), {"part": number})
            return StructureResult(Structured(title="In parts", overview="Three of them."), input_tokens=30, cost=0.03)

        monkeypatch.setattr(fakes.FakeStructurer, "structure", structure)

    def answers(self) -> None:
        for way in self.gates:
            way.open()
        until(lambda: call_threads.count() == 0)


def parts() -> int:
    return StepArtifact.objects.filter(name__startswith="part:").count()


def test_each_part_is_kept_and_gives_the_call_its_time_again(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = InParts(monkeypatch)
    run = begin()
    put_down(run)
    PostProcessingRun.objects.filter(pk=run.pk).update(wake_at=timezone.now() + timedelta(seconds=5))
    vendor.gates[0].open()
    until(lambda: parts() == 1)
    run.refresh_from_db()
    assert run.wake_at is not None
    assert run.wake_at > timezone.now() + timedelta(seconds=120), "the next part has its whole time"
    out = late_answers.of(at_work(run).checkpoint)
    assert out is not None
    assert out.left() > 120
    vendor.answers()
    assert called_back(run)
    assert runner.work(run.pk) == "finished"
    assert (vendor.asked, parts(), kept()) == ([0, 1, 2], 0, [])
    row = VendorCall.objects.get(step="structure")
    assert (row.outcome, row.input_tokens) == ("success", 30)


@pytest.mark.parametrize("how", ["canceled", "memory erased", "account erased"])
def test_a_run_that_ended_between_two_parts_pays_for_no_further_one(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    vendor = InParts(monkeypatch)
    run = begin()
    put_down(run)
    vendor.gates[0].open()
    until(lambda: vendor.gates[1].reached.is_set())
    if how == "canceled":
        service.cancel(run, actor="user")
    elif how == "memory erased":
        erasure.erase_memory(UID, MEMORY)
    else:
        account.delete_account(UID)
    vendor.answers()
    assert vendor.asked == [0, 1], "the part that was being asked was paid; the next one is not"
    assert parts() == (1 if how == "canceled" else 0)
    spent = list(VendorCall.objects.filter(step="structure").values_list("input_tokens", flat=True))
    assert spent == ([] if how == "account erased" else [20])


def test_a_process_that_died_between_two_parts_pays_for_none_again(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = InParts(monkeypatch)
    run = begin()
    put_down(run)
    vendor.gates[0].open()
    until(lambda: parts() == 1)
    died(run)
    vendor.gates[1].open()  # the new call needs the second and the third; the old one is only asleep here
    vendor.gates[2].open()
    assert reconcile.release_dead_workers() == 1
    assert runner.work(run.pk) == "finished"
    assert vendor.asked.count(0) == 1


# --- processes that die, deadlines ---


def died(run: PostProcessingRun, owner: str = DEAD) -> None:
    """The call is of another process now."""
    step = at_work(run)
    step.checkpoint["call"]["owner"] = owner
    step.save(update_fields=["checkpoint"])


@SLOW
def test_a_process_that_died_costs_no_deadline_on_this_machine(begin: Begin, gate: Gate, slow: str) -> None:
    run = begin(slow, gate())
    put_down(run)
    assert reconcile.release_dead_workers() == 0, "it lives"
    died(run)
    assert reconcile.release_dead_workers() == 1
    assert called_back(run)
    assert reconcile.release_dead_workers() == 0, "once"
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")] if slow == "transcribe" else []
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert run.outcome == "success"
    assert fakes.count(VENDOR[slow], OPERATION[slow]) == 2
    assert VendorCall.objects.filter(step=slow, doubled=True).count() == 1, "the ledger knows"


def test_a_call_of_a_living_process_or_another_machine_is_waited_for_until_its_deadline(
    begin: Begin, gate: Gate
) -> None:
    import os

    run = begin("structure", gate())
    put_down(run)
    for owner in (f"{machine()}:{os.getppid()}:1", "elsewhere:1:1:1"):
        died(run, owner)
        assert reconcile.release_dead_workers() == 0
        due(run)
        put_down(run)
    assert fakes.count("structurer", "structure") == 1
    step = at_work(run)
    step.checkpoint["call"]["until"] = time.time() - 1
    step.save(update_fields=["checkpoint"])
    due(run)
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 2
    assert VendorCall.objects.filter(doubled=True).count() == 1


def test_the_late_answer_of_a_call_that_was_given_up_changes_nothing(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate(Structured(title="Too late", overview="Far too late.")))
    put_down(run)
    died(run, "")
    due(run)
    assert runner.work(run.pk) == "finished"
    gate.answers()
    assert run.steps.get(name="structure").output["structured"]["title"] != "Too late"
    assert kept() == []
    assert list(VendorCall.objects.filter(step="structure").values_list("outcome", flat=True)) == ["success"] * 2


def test_a_clock_that_was_put_back_makes_no_call_last_longer() -> None:
    out = late_answers.Out(limit=120.0)
    out.renew()
    out.until += 86_400
    assert out.left() == 180.0
    assert late_answers.pause(out) == 181.0
    long = late_answers.Out(limit=18 * 3600.0)
    long.renew()
    assert late_answers.pause(long) == late_answers.LONGEST + 1, "wake-up times have a bound (reconcile.LONGEST_WAIT)"
    assert reconcile.LONGEST_WAIT.total_seconds() > late_answers.LONGEST + 1


def test_who_loses_calls_with_the_worker_that_another_run_kills_is_no_dead_letter(begin: Begin, gate: Gate) -> None:
    """A poison run is given up after 8 claims: until then it takes the calls of innocent ones along."""
    run = begin("structure", gate())
    fakes.SCRIPT["structurer"] = [gate() for _ in range(9)]
    put_down(run)
    for _ in range(run.max_claims):
        died(run)
        assert reconcile.release_dead_workers() == 1
        put_down(run)
        assert run.claims == 0
    gate.answers()
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.outcome, run.dead_letter) == ("success", False)


def test_a_call_that_kills_its_process_each_time_ends(begin: Begin, gate: Gate) -> None:
    """The put-down resets the claims: without a count of its own such a call would be made, and paid, for ever."""
    run = begin("structure", gate())
    put_down(run)
    step = at_work(run)
    step.checkpoint["call"] |= {"owner": DEAD, "lost": 2 * run.max_claims}
    step.save(update_fields=["checkpoint"])
    assert reconcile.release_dead_workers() == 1
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.message_id, run.succeeded) == ("worker_died", False)
    assert fakes.count("structurer", "structure") == 1


# --- bounds ---


def test_a_worker_with_all_its_calls_out_goes_on_with_other_work(begin: Begin, gate: Gate, settings: Any) -> None:
    settings.OMI_CALLS_PER_WORKER = 1
    run = begin("structure", gate())
    put_down(run)
    other = service.start("reprocess", "user-2", _memory_of("user-2"), actor="test")
    began = time.monotonic()
    put_down(other)
    assert time.monotonic() - began < PATIENCE + 1
    step = at_work(other)
    assert (step.note, step.attempts) == ("structurer: asked when it is its turn", 0)
    assert "failures" not in step.checkpoint
    assert other.wake_at is not None
    assert other.wake_at < timezone.now() + timedelta(seconds=4)
    assert not VendorCall.objects.filter(run=other).exists()
    assert fakes.count("structurer", "structure") == 1
    gate.answers()
    due(other)
    assert runner.work(other.pk) == "finished"


def _memory_of(uid: str) -> str:
    from datetime import UTC, datetime

    from memories.repository import memories as repository
    from memories.shapes import Memory
    from tests.pipeline.conftest import live_segments

    identity = "5a3f2f5e-0000-4000-8000-000000000002"
    repository.create_memory(
        uid,
        Memory(
            id=identity, created_at=datetime(2026, 11, 1, tzinfo=UTC), language="en",
            structured=Structured(title="Live title", overview="Live overview"), transcript_segments=live_segments(),
            active_transcript="deepgram_streaming",
        ),
    )  # fmt: skip
    return identity


def test_the_recording_stays_while_a_call_reads_it(begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = fakes.FakeEmotions.measure

    def measure(self: Any, request: Any) -> Any:
        answer = real(self, request)  # waits at the gate
        seen.append((request.path, request.path.read_bytes()[:4]))
        return answer

    monkeypatch.setattr(fakes.FakeEmotions, "measure", measure)
    put_down(begin("emotions", gate()))
    gate.answers()
    path, head = seen[0]
    assert head == b"RIFF", "the worker was gone for long"
    assert not path.parent.exists(), "the last user cleans up"


def test_a_local_engine_works_in_the_worker(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    real = fakes.FakeStructurer.structure

    def structure(self: Any, request: StructureRequest) -> StructureResult:
        threads.append(threading.current_thread())
        return real(self, request)

    monkeypatch.setattr(fakes.FakeStructurer, "structure", structure)
    monkeypatch.setattr(fakes.FakeStructurer, "remote", False)
    assert runner.work(begin().pk) == "finished"
    assert threads == [threading.current_thread()]


def test_stopping_a_job_at_the_vendor_holds_no_worker(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = threading.Event()

    def cancel(self: Any, ticket: Any) -> None:
        gate()()
        stopped.set()

    monkeypatch.setattr(fakes.FakePrerecorded, "cancel", cancel)
    run = begin("transcribe", "pending")
    fakes.SCRIPT["first"].append(fakes.permanent())
    put_down(run)
    due(run)
    began = time.monotonic()
    assert runner.work(run.pk) == "finished", "there is no other provider"
    assert time.monotonic() - began < PATIENCE + 2
    assert not stopped.is_set()
    gate.open()
    assert stopped.wait(10)


# --- what people see ---


def test_the_app_and_support_see_whose_answer_is_waited_for(begin: Begin, gate: Gate, capsys: Any) -> None:
    from django.core.management import call_command

    run = begin("structure", gate())
    put_down(run)
    told = status.document(run)
    [step] = [item for item in told["steps"] if item["name"] == "structure"]
    assert (told["state"], told["step"], step["note"]) == ("waiting", "structure", "structurer: asked, answers later")
    assert told["retry_after"] is None, "the deadline is not when it goes on"
    assert told["eta_seconds"] < 60
    call_command("explain", MEMORY)
    said = capsys.readouterr().out
    assert "structurer: asked, answers later" in said
    assert "goes on when structurer answers, or looks at" in said
    gate.answers()
    assert runner.work(run.pk) == "finished"


def test_no_counter_falls_when_a_call_that_was_out_ends(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate())
    put_down(run)
    before = metrics.figures()
    assert not [labels for labels in before if "unknown" in labels]
    gate.answers()
    after = metrics.figures()
    assert {labels: after[labels] for labels in before if after[labels] < before[labels]} == {}
    assert after["memory_vendor_calls", "structurer", "structure", "success"] == 1
    VendorCall.objects.update(outcome="", started_at=timezone.now() - timedelta(hours=21))
    assert metrics.figures()["memory_vendor_calls", "structurer", "structure", "unknown"] == 1


def test_the_ledger_is_asked_about_the_lease_before_anybody_is_paid(begin: Begin, gate: Gate) -> None:
    """A run that another worker has is not put into a thread."""
    run = begin()
    found = PostProcessingRun.objects.get(pk=run.pk)
    from memories.pipeline import claim
    from memories.pipeline.outcomes import LeaseLost

    lease = claim.claim(found)
    assert lease is not None
    ctx = Context(found, lease, list(found.steps.all()))
    PostProcessingRun.objects.filter(pk=run.pk).update(fence=lease.fence + 1)
    asked: list[int] = []
    question = calls.Question("structurer", "structure", ["x"], kept_form(), remote=True, limit=10.0)
    with pytest.raises(LeaseLost):
        calls.ask(ctx, question, lambda: lambda entry, parts: asked.append(1))
    assert asked == []
    assert call_threads.count() == 0
    assert ledger.key(ctx, "a", "b", 1) != ledger.key(ctx, "a", "b", 2)
    ctx.close()


def kept_form() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(None)
