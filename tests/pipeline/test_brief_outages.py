"""A database that is away for a moment, exactly while something that was paid for is written down: paid once, and no
job is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError, connection

from memories.pipeline import runner
from memories.pipeline.engine import checkpoints
from memories.pipeline.models import PostProcessingRun, VendorBreaker, VendorCall
from memories.pipeline.vendor_calls import circuit_breaker, executor, records
from tests.pipeline import fakes
from tests.pipeline.late import (
    OPERATION,
    VENDOR,
    Begin,
    Gate,
    answers,
    at_work,
    begin,
    due,
    gate,
    pending,
    suspend,
    until,
)
from tests.pipeline.test_calls_lost import InParts, parts

__all__ = ["begin", "gate"]
pytestmark = pytest.mark.django_db(transaction=True)

SLOW = pytest.mark.parametrize("slow", list(VENDOR))
LENGTHS = pytest.mark.parametrize("failures", [2, 5], ids=["a moment", "longer than the tries"])


class Outage:
    """From ``begin`` on, so many writes of this thread's connection fail."""

    def __init__(self) -> None:
        self.left = 0
        self.failed = 0
        self.error: type[Exception] = OperationalError

    def begin(self, failures: int) -> None:
        self.left = failures

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if self.left and sql.lstrip().startswith(("INSERT", "UPDATE", "DELETE")):
            self.left -= 1
            self.failed += 1
            raise self.error("the database is away")
        return execute(sql, params, many, context)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    monkeypatch.setattr(checkpoints, "PAUSES", (0.0,) * 4)
    made = Outage()
    with connection.execute_wrapper(made):
        yield made


def finish(run: PostProcessingRun) -> PostProcessingRun:
    for _ in range(20):
        if runner.work(run.pk) == "finished":
            break
        due(run)
    run.refresh_from_db()
    return run


def paid_once(slow: str) -> None:
    assert fakes.count(VENDOR[slow], OPERATION[slow]) == 1
    assert not VendorCall.objects.filter(duplicate=True).exists()
    [row] = VendorCall.objects.filter(step=slow, operation__in=["transcribe", "structure", "embed", "emotions"])
    assert row.outcome == "success"


@LENGTHS
@SLOW
def test_a_late_answer_that_cannot_be_stored_at_once_is_taken_again_and_paid_once(
    begin: Begin, gate: Gate, outage: Outage, slow: str, failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(slow, gate(fakes.words(fakes.TEXT + " then") if slow == "transcribe" else None))
    suspend(run)
    gate.answers()
    module = runner.load(slow)
    assert module is not None
    real = module.run

    def then_away(ctx: Any) -> Any:
        result = real(ctx)
        monkeypatch.setattr(module, "run", real)
        outage.begin(failures)
        return result

    monkeypatch.setattr(module, "run", then_away)
    assert finish(run).outcome == "success"
    assert outage.failed == failures
    paid_once(slow)
    assert answers() == []


@LENGTHS
@SLOW
def test_a_run_that_cannot_be_suspended_at_once_does_not_forget_whom_it_has_asked(
    begin: Begin, gate: Gate, outage: Outage, slow: str, failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(slow, gate(fakes.words(fakes.TEXT + " then") if slow == "transcribe" else None))
    real = executor.Call.wait

    def then_away(self: Any, seconds: float) -> bool:
        answered = real(self, seconds)
        if not answered:
            outage.begin(failures)
        return answered

    monkeypatch.setattr(executor.Call, "wait", then_away)
    assert runner.work(run.pk) == "waiting"
    assert outage.failed == failures
    run.refresh_from_db()
    assert pending().vendor == VENDOR[slow]
    gate.answers()
    assert finish(run).outcome == "success"
    paid_once(slow)


@LENGTHS
def test_a_ticket_that_cannot_be_stored_at_once_is_polled_and_not_paid_for_again(
    begin: Begin, gate: Gate, outage: Outage, failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin("transcribe", "pending")
    fakes.SCRIPT["first"].append(fakes.words(fakes.TEXT + " then"))
    real = fakes.FakePrerecorded.submit

    def then_away(self: Any, request: Any) -> Any:
        answer = real(self, request)
        outage.begin(failures)
        return answer

    monkeypatch.setattr(fakes.FakePrerecorded, "submit", then_away)
    assert runner.work(run.pk) == "waiting"
    assert outage.failed == failures
    run.refresh_from_db()
    assert at_work(run).checkpoint["ticket"]["vendor"] == "first"
    assert VendorCall.objects.get(vendor="first").reference, "for the erasure at the vendor"
    due(run)
    assert finish(run).outcome == "success"
    assert (fakes.count("first", "submit"), fakes.count("first", "cancel")) == (1, 0)


@LENGTHS
def test_a_ticket_that_came_late_is_stored_before_its_call_is_forgotten(
    begin: Begin, gate: Gate, outage: Outage, failures: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin("transcribe", gate("pending"))
    fakes.SCRIPT["first"].append(fakes.words(fakes.TEXT + " then"))
    suspend(run)
    gate.answers()
    real = records.unpack

    def then_away(call: VendorCall) -> Any:
        found = real(call)
        monkeypatch.setattr(records, "unpack", real)
        outage.begin(failures)
        return found

    monkeypatch.setattr(records, "unpack", then_away)
    assert finish(run).outcome == "success"
    assert outage.failed == failures
    assert (fakes.count("first", "submit"), fakes.count("first", "cancel")) == (1, 0)


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_whatever_keeps_a_late_answer_from_being_stored_the_thread_tries_again(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(executor, "STORE_PAUSES", (0.01,) * 3)
    real, failures = records.store_late, [error("gone")] * 2

    def fails(*args: Any) -> bool:
        if failures:
            raise failures.pop()
        return real(*args)

    monkeypatch.setattr(records, "store_late", fails)
    run = begin("structure", gate())
    suspend(run)
    gate.answers()
    assert finish(run).outcome == "success"
    paid_once("structure")


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_a_part_that_cannot_be_kept_at_once_is_not_paid_for_again(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(checkpoints, "PAUSES", (0.01,) * 4)
    vendor = InParts(monkeypatch)
    run = begin()
    suspend(run)
    real, failures = records.renew, [error("gone")] * 3

    def fails(*args: Any) -> None:
        real(*args)
        if failures and threading.current_thread() is not threading.main_thread():
            raise failures.pop()

    monkeypatch.setattr(records, "renew", fails)
    vendor.gates[0].open()
    until(lambda: parts() == 1)
    vendor.answers()
    assert finish(run).outcome == "success"
    assert vendor.asked == [0, 1, 2]
    assert not failures


def test_a_breaker_that_cannot_be_told_of_a_success_costs_no_answer(
    begin: Begin, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    VendorBreaker.objects.create(vendor="structurer", failures=1)

    def fails(vendor: str) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(circuit_breaker, "succeeded", fails)
    assert finish(begin()).outcome == "success"
    assert fakes.count("structurer", "structure") == 1
