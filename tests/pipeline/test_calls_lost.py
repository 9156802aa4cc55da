"""Calls that are out when their run ends, or their process: nothing comes back, nothing more is paid, nobody waits."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import recovery, runner, service, tasks
from memories.pipeline.engine import fault_injection, lease
from memories.pipeline.engine.lease import machine
from memories.pipeline.models import PostProcessingRun, StepArtifact, VendorCall
from memories.pipeline.vendor_calls import in_flight, patience, records
from memories.privacy import account, erasure
from memories.shapes import Structured
from memories.structuring.base import StructureRequest, StructureResult
from omi.core.partial_results import part_id
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.late import (
    OPERATION,
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
    until,
)

__all__ = ["begin", "gate"]
pytestmark = pytest.mark.django_db(transaction=True)

SLOW = pytest.mark.parametrize("slow", list(VENDOR))
DEAD = f"{machine()}:999999999:1"


# --- nobody wants it any more ---


@SLOW
def test_a_cancel_ends_the_run_at_once_and_the_late_answer_only_costs(begin: Begin, gate: Gate, slow: str) -> None:
    run = begin(slow, gate())
    suspend(run)
    service.cancel(run, actor="user")
    run.refresh_from_db()
    assert (run.state, run.outcome) == ("finished", "canceled"), "at once, though the vendor has not answered"
    gate.answers()
    before = run.fence
    run.refresh_from_db()
    assert (run.state, run.fence) == ("finished", before)
    assert answers() == []
    [row] = VendorCall.objects.filter(step=slow)
    assert row.outcome == "success", "it will be billed"
    assert row.latency is not None


@pytest.mark.parametrize("error", [False, True], ids=["an answer", "an error"])
def test_a_memory_that_was_erased_meanwhile_gets_nothing_back(begin: Begin, gate: Gate, error: bool) -> None:
    run = begin("structure", gate(fakes.transient("structurer") if error else None))
    suspend(run)
    erasure.erase_memory(UID, MEMORY)
    gate.answers()
    assert not StepArtifact.objects.exists()
    run.refresh_from_db()
    assert (run.outcome, run.message_id) == ("canceled", "memory_gone")
    assert not any(step.checkpoint or step.note for step in run.steps.all())
    assert [row.request_key for row in VendorCall.objects.all()] == ["", ""]


@SLOW
def test_an_account_that_was_erased_meanwhile_gets_nothing_back(begin: Begin, gate: Gate, slow: str) -> None:
    suspend(begin(slow, gate()))
    account.delete_account(UID)
    gate.answers()
    assert not PostProcessingRun.objects.exists()
    assert not VendorCall.objects.exists()
    assert not StepArtifact.objects.exists()
    assert erasure.verify_user_erased(UID) == {}


def test_a_job_that_was_accepted_too_late_is_stopped_at_the_vendor(begin: Begin, gate: Gate) -> None:
    run = begin("transcribe", gate("pending"))
    suspend(run)
    service.cancel(run, actor="user")
    assert fakes.count("first", "cancel") == 0, "nobody knows of a job yet"
    gate.answers()
    assert fakes.count("first", "cancel") == 1
    assert VendorCall.objects.get(vendor="first").reference, "for the erasure at the vendor"


def test_a_job_that_was_accepted_late_and_seen_by_nobody_yet_is_stopped_by_a_cancel(begin: Begin, gate: Gate) -> None:
    run = begin("transcribe", gate("pending"))
    suspend(run)
    gate.answers()
    service.cancel(run, actor="user")
    assert fakes.count("first", "cancel") == 0, "who cancels waits for no vendor"
    assert tasks.stop_jobs(run.pk) == 1
    assert fakes.count("first", "cancel") == 1


def test_a_job_that_was_accepted_late_is_polled(begin: Begin, gate: Gate) -> None:
    run = begin("transcribe", gate("pending"))
    fakes.SCRIPT["first"].append(fakes.words(fakes.TEXT + " then"))
    suspend(run)
    gate.answers()
    suspend(run)
    assert at_work(run).checkpoint["ticket"]["vendor"] == "first"
    due(run)
    assert runner.work(run.pk) == "finished"
    assert (fakes.count("first", "submit"), fakes.count("first", "poll")) == (1, 1)
    assert answers() == []


def test_a_slow_poll_holds_no_worker_either(begin: Begin, gate: Gate) -> None:
    run = begin("transcribe", "pending")
    fakes.SCRIPT["first"].append(gate(fakes.words(fakes.TEXT + " then")))
    suspend(run)
    due(run)
    suspend(run)
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
        until(lambda: in_flight.count() == 0)


def parts() -> int:
    return StepArtifact.objects.filter(name__startswith="part:").count()


def test_each_part_is_kept_and_gives_the_call_its_time_again(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendor = InParts(monkeypatch)
    run = begin()
    suspend(run)
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now() + timedelta(seconds=5))
    vendor.gates[0].open()
    until(lambda: parts() == 1)
    run.refresh_from_db()
    assert run.due_at is not None
    assert run.due_at > timezone.now() + timedelta(seconds=120), "the next part has its whole time"
    assert records.seconds_left(pending()) > 120
    vendor.answers()
    assert called_back(run)
    assert runner.work(run.pk) == "finished"
    assert (vendor.asked, parts(), answers()) == ([0, 1, 2], 0, [])
    row = VendorCall.objects.get(step="structure")
    assert (row.outcome, row.input_tokens) == ("success", 30)


@pytest.mark.parametrize("how", ["canceled", "memory erased", "account erased"])
def test_a_run_that_ended_between_two_parts_pays_for_no_further_one(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    vendor = InParts(monkeypatch)
    run = begin()
    suspend(run)
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
    suspend(run)
    vendor.gates[0].open()
    until(lambda: parts() == 1)
    died(run)
    assert recovery.release_dead_workers() == 1  # before the old call, which is only asleep here, says that it lives
    vendor.gates[1].open()  # the new call needs the second and the third
    vendor.gates[2].open()
    assert runner.work(run.pk) == "finished"
    assert vendor.asked.count(0) == 1


# --- processes that die, deadlines ---


def died(run: PostProcessingRun, owner: str = DEAD) -> None:
    """The call is of another process now."""
    VendorCall.objects.filter(run=run, owner__gt="").update(owner=owner)


@SLOW
def test_a_process_that_died_costs_no_deadline_on_this_machine(begin: Begin, gate: Gate, slow: str) -> None:
    run = begin(slow, gate())
    suspend(run)
    assert recovery.release_dead_workers() == 0, "it lives"
    died(run)
    assert recovery.release_dead_workers() == 1
    assert called_back(run)
    assert recovery.release_dead_workers() == 0, "once"
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")] if slow == "transcribe" else []
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert run.outcome == "success"
    assert fakes.count(VENDOR[slow], OPERATION[slow]) == 2
    assert VendorCall.objects.filter(step=slow, duplicate=True).count() == 1, "the ledger knows"


def test_a_call_of_a_living_process_or_another_machine_is_waited_for_until_its_deadline(
    begin: Begin, gate: Gate
) -> None:
    import os

    run = begin("structure", gate())
    suspend(run)
    for owner in (f"{machine()}:{os.getppid()}:1", "elsewhere:1:1:1"):
        died(run, owner)
        assert recovery.release_dead_workers() == 0
        due(run)
        suspend(run)
    assert fakes.count("structurer", "structure") == 1
    VendorCall.objects.filter(run=run).update(deadline=timezone.now() - timedelta(seconds=1))
    due(run)
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 2
    assert VendorCall.objects.filter(duplicate=True).count() == 1


def test_a_worker_that_froze_while_it_asked_is_not_waited_for(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process lives, but it has not suspended the run: whoever reclaims the run asks anew, and at once."""
    import os

    class Frozen(BaseException):
        pass

    def freezes(*given: Any, **named: Any) -> None:
        raise Frozen

    run = begin("structure", None)
    with monkeypatch.context() as patch:
        patch.setattr(fault_injection, "point", lambda name: freezes() if name == "structure-during" else None)
        with pytest.raises(Frozen):
            runner.work(run.pk)
    long_ago = timezone.now() - timedelta(seconds=1)
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=long_ago)
    VendorCall.objects.filter(run=run, step="structure").update(
        outcome="", owner=f"{machine()}:{os.getppid()}:1", deadline=timezone.now() + timedelta(minutes=3)
    )
    assert runner.work(run.pk) == "finished"
    assert fakes.count("structurer", "structure") == 2
    assert VendorCall.objects.filter(step="structure", duplicate=True).count() == 1


def test_the_late_answer_of_a_call_that_was_given_up_changes_nothing(begin: Begin, gate: Gate) -> None:
    run = begin("structure", gate(Structured(title="Too late", overview="Far too late.")))
    suspend(run)
    died(run, "")
    due(run)
    assert runner.work(run.pk) == "finished"
    gate.answers()
    assert run.steps.get(name="structure").output["structured"]["title"] != "Too late"
    assert answers() == []
    assert list(VendorCall.objects.filter(step="structure").values_list("outcome", flat=True)) == ["success"] * 2


def test_a_clock_that_was_put_back_makes_no_call_last_longer() -> None:
    call = VendorCall(limit=120.0, deadline=timezone.now() + timedelta(days=1))
    assert records.seconds_left(call) == 180.0
    assert records.pause(call) == 181.0
    long = VendorCall(limit=18 * 3600.0, deadline=timezone.now() + timedelta(hours=18))
    assert records.pause(long) == patience.LOOK_AGAIN + 1, "due times have a bound"
    assert lease.LONGEST_WAIT.total_seconds() > patience.LOOK_AGAIN + 1


def test_who_loses_calls_with_the_worker_that_another_run_kills_is_no_dead_letter(begin: Begin, gate: Gate) -> None:
    """A poison run is given up after 8 claims: until then it takes the calls of innocent ones along."""
    run = begin("structure", gate())
    fakes.SCRIPT["structurer"] = [gate() for _ in range(9)]
    suspend(run)
    for _ in range(run.max_claims):
        died(run)
        assert recovery.release_dead_workers() == 1
        suspend(run)
        assert run.claims == 0
    gate.answers()
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.outcome, run.dead_letter) == ("success", False)


def test_a_call_that_kills_its_process_each_time_ends(begin: Begin, gate: Gate) -> None:
    """The put-down resets the claims: without a count of its own such a call would be made, and paid, for ever."""
    run = begin("structure", gate())
    suspend(run)
    died(run)
    call = pending()
    for _ in range(2 * run.max_claims):
        call.pk, call._state.adding, call.owner = None, True, ""
        call.save()
    assert recovery.release_dead_workers() == 1
    assert runner.work(run.pk) == "finished"
    run.refresh_from_db()
    assert (run.message_id, run.succeeded) == ("worker_died", False)
    assert fakes.count("structurer", "structure") == 1
