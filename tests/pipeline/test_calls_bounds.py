"""What bounds calls to vendors in a worker: how many, and what is called in a thread; and what people see of them."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import runner, service, status
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.lease import machine
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.operations import metrics
from memories.pipeline.steps import structure
from memories.pipeline.vendor_calls import client, in_flight, records
from memories.repository import memories as repository
from memories.shapes import Structured
from memories.structuring.base import StructureRequest, StructureResult
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, live_segments
from tests.pipeline.late import (
    PATIENCE,
    VENDOR,
    Begin,
    Gate,
    at_work,
    begin,
    due,
    gate,
    suspend,
)

__all__ = ["begin", "gate"]
pytestmark = pytest.mark.django_db(transaction=True)

SLOW = pytest.mark.parametrize("slow", list(VENDOR))
DEAD = f"{machine()}:999999999:1"


# --- bounds ---


def test_a_worker_with_all_its_calls_out_goes_on_with_other_work(begin: Begin, gate: Gate, settings: Any) -> None:
    settings.OMI_CALLS_PER_WORKER = 1
    run = begin("structure", gate())
    suspend(run)
    other = service.start("reprocess", "user-2", _memory_of("user-2"), actor="test")
    began = time.monotonic()
    suspend(other)
    assert time.monotonic() - began < PATIENCE + 1
    step = at_work(other)
    assert (step.note, step.attempts) == ("structurer: asked when it is its turn", 0)
    assert "failures" not in step.checkpoint
    assert other.due_at is not None
    assert other.due_at < timezone.now() + timedelta(seconds=4)
    assert not VendorCall.objects.filter(run=other).exists()
    assert fakes.count("structurer", "structure") == 1
    gate.answers()
    due(other)
    assert runner.work(other.pk) == "finished"


def _memory_of(uid: str) -> str:
    from datetime import UTC, datetime

    from memories.shapes import Memory

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
    suspend(begin("emotions", gate()))
    gate.answers()
    path, head = seen[0]
    assert head == b"RIFF", "the worker was gone for long"
    assert not path.parent.exists(), "the last user cleans up"


def test_a_local_engine_is_waited_for_by_the_worker(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def here(provider: Any, request: StructureRequest) -> StructureResult:
        threads.append(threading.current_thread())
        return StructureResult(Structured(title="By rules", overview="They talk."), method="rules")

    monkeypatch.setattr(structure, "_here", here)  # what is asked of the child process
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
    suspend(run)
    due(run)
    assert runner.work(run.pk) == "finished", "there is no other provider"
    assert not stopped.is_set(), "the vendor has not answered yet"
    gate.open()
    assert stopped.wait(10)


# --- what people see ---


def test_the_app_and_support_see_whose_answer_is_waited_for(begin: Begin, gate: Gate, capsys: Any) -> None:
    from django.core.management import call_command

    run = begin("structure", gate())
    suspend(run)
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
    suspend(run)
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
    from memories.pipeline.engine import lease as leases
    from memories.pipeline.engine.results import LeaseLost

    lease = leases.claim(found)
    assert lease is not None
    ctx = Context(found, lease, list(found.steps.all()))
    PostProcessingRun.objects.filter(pk=run.pk).update(fence=lease.fence + 1)
    asked: list[int] = []
    question = client.Question("structurer", "structure", ["x"], kept_form(), remote=True, limit=10.0)
    with pytest.raises(LeaseLost):
        client.ask(ctx, question, lambda: lambda entry, parts: asked.append(1))
    assert asked == []
    assert in_flight.count() == 0
    assert records.key(ctx, "a", "b", 1) != records.key(ctx, "a", "b", 2)
    ctx.close()


def kept_form() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(None)
