"""Who has a run, and who may still write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from memories.pipeline import queries, recovery, runner, service, vector_writes
from memories.pipeline.engine import checkpoints
from memories.pipeline.engine import lease as leases
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, LeaseLost, RunCanceled, StepError
from memories.pipeline.models import PostProcessingRun, RunEvent, StepAttempt
from memories.pipeline.steps import publish, structure
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core import providers
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def fresh(run: PostProcessingRun) -> PostProcessingRun:
    return PostProcessingRun.objects.get(pk=run.pk)


def expire(run: PostProcessingRun) -> None:
    """The worker stopped beating long ago."""
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


@pytest.fixture
def run(memory: Memory) -> PostProcessingRun:
    return service.start("reprocess", UID, MEMORY, actor="test")


def test_of_two_workers_one_gets_the_run(run: PostProcessingRun) -> None:
    one, two = fresh(run), fresh(run)
    assert leases.claim(one, owner="one") is not None
    assert leases.claim(two, owner="two") is None
    assert fresh(run).lease_owner == "one"


def test_a_lost_lease_refuses_every_late_write(run: PostProcessingRun) -> None:
    first = fresh(run)
    old = leases.claim(first, owner="frozen")
    assert old is not None
    ctx = Context(first, old, list(first.steps.all()))
    expire(run)
    assert leases.claim(fresh(run), owner="second") is not None
    step = ctx.steps["structure"]
    began = timezone.now()
    with pytest.raises(LeaseLost):
        checkpoints.complete_step(ctx, step, began, Done({"structured": {}}), input_hash="x", following="index")
    with pytest.raises(LeaseLost):
        ctx.check()
    with pytest.raises(LeaseLost):
        checkpoints.finish(ctx, runner.Outcome.SUCCESS, "success")
    with pytest.raises(LeaseLost):
        checkpoints.save(ctx, {"ticket": 1})
    assert not StepAttempt.objects.exists()
    assert fresh(run).steps.get(name="structure").state == "pending"


def test_a_worker_that_lost_the_run_cannot_publish(memory: Memory, run: PostProcessingRun) -> None:
    """Frozen before the document's transaction, woken after a takeover: nothing reaches the memory."""

    def taken_over_meanwhile() -> None:
        expire(run)
        assert leases.claim(fresh(run), owner="second") is not None

    fakes.SCRIPT["embedder"] = [taken_over_meanwhile]
    before = repository.get_memory(UID, MEMORY)
    assert runner.work(run.pk, owner="frozen") == "lease_lost"
    assert repository.get_memory(UID, MEMORY) == before


def test_a_claim_is_counted_before_any_work_so_a_poison_run_ends(run: PostProcessingRun) -> None:
    for number in range(1, 9):
        assert leases.claim(fresh(run)) is not None  # ... and the worker dies
        assert fresh(run).claims == number
        expire(run)
    assert leases.claim(fresh(run)) is None
    recovery.reconcile()
    ended = fresh(run)
    assert (ended.state, ended.dead_letter, ended.message_id) == ("finished", True, "worker_died")
    assert RunEvent.objects.filter(run=run, type="dead_letter").exists()


def test_progress_starts_the_count_anew(run: PostProcessingRun) -> None:
    leases.claim(fresh(run))
    expire(run)
    assert runner.work(run.pk) == "finished"
    assert (fresh(run).claims, fresh(run).total_claims) == (1, 2), "that of the worker who got on is the first again"


def test_a_takeover_is_recorded_as_a_lost_attempt(run: PostProcessingRun) -> None:
    leases.claim(fresh(run), owner="gone")
    expire(run)
    runner.work(run.pk)
    assert StepAttempt.objects.filter(step__run=run, result="lost", outcome="timeout").count() == 1


def test_a_finished_run_is_never_claimed_again(run: PostProcessingRun) -> None:
    runner.work(run.pk)
    calls = list(fakes.CALLS)
    assert runner.work(run.pk) == "not_claimed"
    assert calls == fakes.CALLS


def test_a_run_that_waits_is_not_claimed_before_its_time(run: PostProcessingRun) -> None:
    fakes.SCRIPT["structurer"] = [fakes.transient("structurer", retry_after=60)]
    assert runner.work(run.pk) == "waiting"
    assert runner.work(run.pk) == "not_claimed"
    due_at = fresh(run).due_at
    assert due_at is not None
    assert 55 < (due_at - timezone.now()).total_seconds() <= 65


def test_the_wake_up_of_a_waiting_run_is_in_the_queue_and_hidden_until_then(run: PostProcessingRun) -> None:
    from django_q.models import OrmQ

    fakes.SCRIPT["structurer"] = [fakes.transient("structurer", retry_after=60)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transaction, "on_commit", lambda function: function())
        runner.work(run.pk)
    row = OrmQ.objects.latest("pk")
    assert row.lock > timezone.now() + timedelta(seconds=50)
    assert row.task["func"] == "memories.pipeline.tasks.wake"
    assert row.task["args"] == (run.pk,)


def test_a_lost_wake_up_is_sent_again_once_per_half_minute(run: PostProcessingRun) -> None:
    from django_q.models import OrmQ

    OrmQ.objects.all().delete()
    PostProcessingRun.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(minutes=5))
    assert recovery.reconcile().resent == 1
    assert recovery.reconcile().resent == 0
    assert OrmQ.objects.count() == 1
    assert queries.oldest_age() > 290


def test_a_lease_of_a_dead_process_need_not_run_out(run: PostProcessingRun) -> None:
    import subprocess
    import sys

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    leases.claim(fresh(run), owner=f"{leases.machine()}:{gone.pid}:1")
    assert recovery.release_dead_workers() == 1
    assert runner.work(run.pk) == "finished"


def test_a_lease_of_a_living_process_or_another_machine_is_left_alone(run: PostProcessingRun) -> None:
    leases.claim(fresh(run))
    assert recovery.release_dead_workers() == 0
    PostProcessingRun.objects.filter(pk=run.pk).update(lease_owner="elsewhere:1:999999:1")
    assert recovery.release_dead_workers() == 0


def test_a_step_that_this_version_does_not_know_ends_the_run_with_a_reason(run: PostProcessingRun) -> None:
    PostProcessingRun.objects.filter(pk=run.pk).update(plan=["structure", "removed_step", "publish"])
    runner.work(run.pk)
    assert fresh(run).message_id == "unknown_step"


def test_a_bug_in_a_step_is_retried_and_then_ends_with_our_fault(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch, drive: Drive
) -> None:
    def broken(ctx: Context) -> Done:
        raise KeyError("secret transcript text")

    monkeypatch.setattr(structure, "run", broken)
    ended = drive(run)
    assert (ended.message_id, ended.outcome) == ("internal_error", "upstream_error")
    assert "secret" not in ended.detail
    assert StepAttempt.objects.filter(step__run=run).count() == 3


def test_a_step_error_ends_the_run_with_its_message(run: PostProcessingRun, monkeypatch: Any, drive: Drive) -> None:
    def missing(ctx: Context) -> Done:
        raise StepError("audio_missing")

    monkeypatch.setattr(structure, "run", missing)
    assert (drive(run).outcome, run.message_id) == ("invalid_input", "audio_missing")


def test_cancel_between_two_steps_stops_the_worker(run: PostProcessingRun) -> None:
    def canceled_meanwhile() -> None:
        service.cancel(fresh(run), actor="staff", reason="wrong memory")

    fakes.SCRIPT["structurer"] = [canceled_meanwhile]
    assert runner.work(run.pk) == "canceled"
    assert (fresh(run).outcome, fresh(run).notified) == ("canceled", True)
    assert fakes.count("embedder", "embed") == 0


def test_check_tells_cancellation_from_a_lost_lease(run: PostProcessingRun) -> None:
    lease = leases.claim(fresh(run))
    assert lease is not None
    service.cancel(fresh(run), actor="staff")
    with pytest.raises(RunCanceled):
        leases.check(lease)


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "finished"},
        {"state": "running"},
        {"state": "waiting"},
        {"state": "nonsense"},
        {"outcome": "success"},
        {"lease_owner": "me"},
        {"dead_letter": True},
        {"blocked": True, "state": "running", "lease_owner": "x", "lease_until": timezone.now()},
    ],
)
def test_the_database_refuses_a_state_that_makes_no_sense(run: PostProcessingRun, fields: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        PostProcessingRun.objects.filter(pk=run.pk).update(**fields)


def test_history_is_append_only(run: PostProcessingRun) -> None:
    runner.work(run.pk)
    attempt = StepAttempt.objects.filter(step__run=run).first()
    assert attempt is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        attempt.save()
    with pytest.raises(IntegrityError), transaction.atomic():
        RunEvent.objects.update(actor="nobody")


def test_a_run_takes_few_statements(memory: Memory, upload: Any, heard: Any) -> None:
    """On the pipeline's own tables; the local twins of Firestore, Pinecone, buckets and events add their own. A change
    of a document reads it twice: to compute the change, and to see that it is still the same where it is written."""
    from django.test.utils import CaptureQueriesContext

    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    with CaptureQueriesContext(connection) as captured:
        runner.work(run.pk)
    assert fresh(run).outcome == "success"
    statements = [item["sql"] for item in captured if item["sql"].startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))]
    own = [sql for sql in statements if '"pipeline_' in sql]
    assert (len(own) <= 68, len(statements) <= 118) == (True, True), (len(own), len(statements))


def test_each_attempt_is_in_the_history_once_its_step_has_ended(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a step is written later than its result; the death of a worker is recorded by the next one."""

    class Killed(BaseException):
        """As SIGKILL would: nothing of ours runs after it."""

    def dies(ctx: Context) -> Done:
        raise Killed

    real = publish.run
    monkeypatch.setattr(publish, "run", dies)
    with pytest.raises(Killed):
        runner.work(run.pk, owner="the-dead-one")
    written = StepAttempt.objects.filter(step__run=run).order_by("id")
    assert list(written.values_list("step__name", flat=True)) == ["structure", "index"]
    monkeypatch.setattr(publish, "run", real)
    expire(run)
    assert runner.work(run.pk) == "finished"
    history = list(
        StepAttempt.objects.filter(step__run=run).order_by("id").values_list("step__name", "number", "result", "worker")
    )
    dead = "the-dead-one"
    assert history[:2] == [("structure", 1, "done", dead), ("index", 1, "done", dead)]
    assert [row[:3] for row in history[2:]] == [("publish", 1, "lost"), ("publish", 2, "done")]


def test_no_vendor_is_paid_for_a_run_that_was_lost(run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of a call is written in a transaction that begins with the fence."""
    real = structure.run

    def loses(ctx: Context) -> Any:
        PostProcessingRun.objects.filter(pk=run.pk).update(fence=F("fence") + 1)
        return real(ctx)

    monkeypatch.setattr(structure, "run", loses)
    assert runner.work(run.pk) == "lease_lost"
    assert fakes.count("structurer", "structure") == 0


def test_a_vector_that_a_woken_worker_writes_late_is_repaired(
    memory: Memory, run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen between the check and the vector store's answer; meanwhile two others publish (no store has a fence)."""
    vectors = providers.one("vectors")
    real, late = vectors.upsert, [True]
    fakes.SCRIPT["embedder"] = [[[0.0, 1.0, *[0.0] * 6]], [[0.0, 0.0, 1.0, *[0.0] * 5]], [[0.0] * 7 + [1.0]]]

    def upsert(made: Any, **more: Any) -> None:
        if late.pop() if late else False:
            expire(run)
            assert runner.work(run.pk, owner="second") == "finished"
            newer = service.start("reprocess", UID, MEMORY, actor="test", from_step="index")
            assert runner.work(newer.pk, owner="third") == "finished"
            assert shown() == [0.0, 0.0, 1.0, *[0.0] * 5]
        real(made, **more)

    def shown() -> list[float]:
        found = vectors.fetch([f"{UID}-{MEMORY}"], namespace="ns1")
        return list(found[f"{UID}-{MEMORY}"].values) if found else []

    monkeypatch.setattr(vectors, "upsert", upsert)
    assert runner.work(run.pk, owner="frozen") == "lease_lost"
    assert shown() == [0.0, 0.0, 1.0, *[0.0] * 5]
    repository.delete_memory(UID, MEMORY)
    vector_writes.repair(UID, MEMORY)
    assert shown() == []
