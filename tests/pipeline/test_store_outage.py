"""A store of ours that is out of reach is waited for, by the clock and not by a count; nobody is paid twice for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from memories.pipeline import runner, service
from memories.pipeline.engine import checkpoints, retry_policy
from memories.pipeline.models import PostProcessingRun, RunStep, StepAttempt, VendorCall
from memories.pipeline.steps import structure
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core import providers
from omi.core.errors import ErrorKind, StoreError
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db


class Clock:
    """``timezone.now`` of a test; ``until`` moves it to a run's wake-up time."""

    def __init__(self) -> None:
        self.now: datetime = timezone.now()
        self.began = self.now

    @property
    def passed(self) -> float:
        return (self.now - self.began).total_seconds()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timezone, "now", lambda: made.now)
    return made


@pytest.fixture
def live(clock: Clock) -> Callable[[PostProcessingRun], PostProcessingRun]:
    """Work on a run whenever it is due, by the simulated clock, until it ends."""

    def go(run: PostProcessingRun) -> PostProcessingRun:
        for _ in range(2000):
            runner.work(run.pk)
            run.refresh_from_db()
            if run.state == "finished":
                return run
            assert run.state == "waiting"
            assert run.due_at is not None
            assert run.due_at > clock.now
            clock.now = run.due_at
        raise AssertionError(f"{run} did not end")

    return go


def away(store: str) -> StoreError:
    return StoreError(store, "out of reach", kind=ErrorKind.TRANSIENT, code="UNAVAILABLE")


Break = Callable[[str, float], None]


@pytest.fixture
def outage(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Break:
    """``outage(store, seconds)``: from now on every call of that store fails, until so many seconds have passed."""

    def begin(store: str, seconds: float) -> None:
        until = clock.now + timedelta(seconds=seconds)

        def failing(real: Any) -> Any:
            def call(*args: Any, **more: Any) -> Any:
                if clock.now < until:
                    raise away(store)
                return real(*args, **more)

            return call

        if store == "audio":
            owner: Any = audio
            names = ["put", "open", "for_memory"]
        else:
            owner = providers.one(store)
            names = ["get", "query", "transaction", "collections"] if store == "documents" else ["upsert"]
        for name in names:
            monkeypatch.setattr(owner, name, failing(getattr(owner, name)))

    return begin


@pytest.mark.parametrize("store", ["documents", "vectors", "audio"])
def test_a_store_that_is_away_for_two_minutes_ends_no_run_and_costs_nothing(
    memory: Memory, upload: Any, heard: Any, clock: Clock, live: Any, outage: Break, store: str
) -> None:
    """The original gave up at the first failed write; six tries of ours were over after a minute."""
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    outage(store, 120)
    live(run)
    assert (run.outcome, run.message_id) == ("success", "success")
    assert 120 <= clock.passed <= 190, "it went on within a pause of the store's return"
    tries = StepAttempt.objects.filter(step__run=run, result="retry")
    assert tries.count() > retry_policy.ATTEMPTS
    assert set(tries.values_list("vendor", flat=True)) == {store}
    assert (fakes.count("first", "submit"), fakes.count("structurer", "structure")) == (1, 1)
    assert not VendorCall.objects.filter(run=run, duplicate=True).exists()
    assert run.claims <= 1 < run.total_claims, "waiting is progress: the count that ends poison starts anew"
    assert repository.get_memory(UID, MEMORY).active_transcript == "first_model"


def test_the_patience_is_bounded_and_its_end_names_the_store(
    memory: Memory, clock: Clock, live: Any, outage: Break, settings: Any
) -> None:
    settings.OMI_STORE_PATIENCE_HOURS = 2
    run = service.start("reprocess", UID, MEMORY, actor="test")
    outage("documents", 9 * 3600)
    live(run)
    assert (run.outcome, run.message_id) == ("upstream_error", "store_unavailable")
    assert 2 * 3600 < clock.passed < 2 * 3600 + 2 * settings.OMI_STORE_RETRY_SECONDS


def test_pauses_grow_to_the_longest_one(clock: Clock, settings: Any) -> None:
    checkpoint: dict[str, Any] = {}
    waits = [retry_policy.store_delay(checkpoint, away("documents")) or 0.0 for _ in range(40)]
    assert 1 <= waits[0] <= 2
    assert waits[4] > 8 * waits[0]
    assert max(waits) <= settings.OMI_STORE_RETRY_SECONDS
    assert "failures" not in checkpoint, "vendors have their own count"


def test_a_store_that_refuses_for_good_is_not_waited_for(
    memory: Memory, clock: Clock, live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*args: Any, **more: Any) -> Any:
        raise StoreError("vectors", "the key is refused", kind=ErrorKind.PERMANENT, code="401")

    monkeypatch.setattr(providers.one("vectors"), "upsert", refuses)
    run = live(service.start("reprocess", UID, MEMORY, actor="test"))
    assert run.outcome == "config_error"
    assert clock.passed == 0


def test_a_database_that_is_away_is_waited_for_but_a_bug_in_a_statement_is_not(
    memory: Memory, clock: Clock, live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = structure.inputs
    failures: list[Exception] = [OperationalError("server closed the connection")] * 9

    def fails(ctx: Any) -> Any:
        if failures:
            raise failures.pop()
        return real(ctx)

    monkeypatch.setattr(structure, "inputs", fails)
    assert live(service.start("reprocess", UID, MEMORY, actor="test")).outcome == "success"
    failures += [IntegrityError("duplicate key")] * 9
    run = live(service.start("reprocess", UID, MEMORY, actor="test", options={"again": 1}))
    assert (run.message_id, len(failures)) == ("internal_error", 6)


def test_what_cannot_be_stored_is_not_paid_for_again_and_again(
    memory: Memory, clock: Clock, live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that the database does not take costs a vendor's call each time: that is bounded by the count."""
    real = checkpoints._update

    def fails(step: RunStep, *args: Any, **values: Any) -> None:
        if (step.name, values.get("state")) == ("structure", "done"):
            raise OperationalError("disk full")
        real(step, *args, **values)

    monkeypatch.setattr(checkpoints, "_update", fails)
    monkeypatch.setattr(checkpoints, "PAUSES", ())
    run = live(service.start("reprocess", UID, MEMORY, actor="test"))
    assert (run.outcome, run.message_id) == ("upstream_error", "store_unavailable")
    assert fakes.count("structurer", "structure") == retry_policy.ATTEMPTS


def test_a_database_that_restarts_while_a_result_is_stored_costs_no_second_call(
    memory: Memory, clock: Clock, live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker has what was paid for in its hand, and holds the lease: it tries again for a few seconds."""
    real, failures = checkpoints._update, [OperationalError("the connection was closed")] * 3

    def fails(step: RunStep, *args: Any, **values: Any) -> None:
        real(step, *args, **values)
        if step.name == "structure" and failures:
            raise failures.pop()

    monkeypatch.setattr(checkpoints, "_update", fails)  # inside the transaction
    monkeypatch.setattr(checkpoints, "PAUSES", (0.0,) * 4)
    run = live(service.start("reprocess", UID, MEMORY, actor="test"))
    assert not failures
    assert (run.outcome, run.total_claims, fakes.count("structurer", "structure")) == ("success", 1, 1)
    history = StepAttempt.objects.filter(step__run=run, step__name="structure")
    assert list(history.values_list("number", "result")) == [(1, "done")]
    assert not VendorCall.objects.filter(run=run, duplicate=True).exists()


def test_a_recording_out_of_reach_is_no_fault_of_the_provider(
    memory: Memory, upload: Any, heard: Any, clock: Clock, live: Any, outage: Break, settings: Any
) -> None:
    """The next one would not have it either."""
    settings.PROVIDERS = fakes.providers(settings.PROVIDERS, {"name": "first"}, {"name": "second"})
    fakes.SCRIPT["first"] = ["pending", fakes.transient()]
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    assert runner.work(run.pk) == "waiting"
    outage("audio", 600)
    run.refresh_from_db()
    clock.now = run.due_at or clock.now
    assert runner.work(run.pk) == "waiting"  # polled, failed: the job is given anew, for which the recording is needed
    live(run)
    assert run.outcome == "success"
    output = RunStep.objects.get(run=run, name="transcribe").output
    assert (output["vendor"], output["given_up"]) == ("first", {})


def test_a_volume_that_went_away_has_not_lost_the_recording(
    memory: Memory, upload: Any, heard: Any, clock: Clock, live: Any
) -> None:
    from pathlib import Path

    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    folder = Path(audio.storage().location)  # type: ignore[attr-defined]
    aside = folder.with_name("aside")
    folder.rename(aside)
    assert runner.work(run.pk) == "waiting"
    aside.rename(folder)
    assert live(run).outcome == "success"
