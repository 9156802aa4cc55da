"""The life of a run as a state machine: whatever workers, users and clocks do, its rules hold."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from memories.pipeline import recovery, service
from memories.pipeline.engine import checkpoints, notifications, queue
from memories.pipeline.engine import lease as leases
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.heartbeat import Heartbeat
from memories.pipeline.engine.results import Done, LeaseLost, RunCanceled, Wait
from memories.pipeline.engine.transitions import change
from memories.pipeline.models import PostProcessingRun, triggers
from memories.pipeline.states import ALLOWED, State
from memories.repository import memories as repository
from memories.shapes import Memory, PostProcessingStatus, Structured
from memories.user_events import log
from omi.core.errors import Outcome
from tests.attack.effort import examples
from tests.pipeline.conftest import UID


class Life(RuleBasedStateMachine):
    """Runs of one memory; workers hold contexts that may be out of date."""

    contexts = Bundle("contexts")

    def __init__(self) -> None:
        super().__init__()
        PostProcessingRun.objects.all().delete()
        repository.documents().delete(repository.memory_path(UID, "memory"))
        log.forget_user(UID)
        self.memory()
        self.ended: dict[int, tuple[Any, ...]] = {}
        self.fences: dict[int, int] = {}
        self.number = 0
        self.offset = timedelta()
        self.real = timezone.now
        timezone.now = lambda: self.real() + self.offset

    def memory(self) -> None:
        shown = Memory(id="memory", created_at=timezone.now(), structured=Structured(title="Live"))
        if repository.find_memory(UID, "memory") is None:
            repository.create_memory(UID, shown)

    def teardown(self) -> None:
        timezone.now = self.real

    @rule(hours=st.sampled_from([-1.0, 1.0, 0.02]))
    def the_clock_is_set(self, hours: float) -> None:
        self.offset += timedelta(hours=hours)

    @rule(ctx=contexts)
    def beat(self, ctx: Context | None) -> None:
        if ctx is not None:
            beats = Heartbeat(ctx.lease)
            beats._until = time.monotonic() + 60
            row = PostProcessingRun.objects.filter(pk=ctx.run.pk).first()
            mine = row is not None and row.state == State.RUNNING and row.fence == ctx.lease.fence
            assert beats.beat() == mine

    @rule()
    def the_account_is_erased(self) -> None:
        service.forget_user(UID)
        assert not PostProcessingRun.objects.exists()
        self.ended.clear()
        repository.documents().delete(repository.memory_path(UID, "memory"))
        log.forget_user(UID)
        self.memory()  # somebody else's, as far as the pipeline knows

    @rule(index=st.integers(0, 5), outcome=st.sampled_from(["success", "timeout"]))
    def somebody_writes_past_the_function(self, index: int, outcome: str) -> None:
        """A shell, another version of this server: the database itself keeps an end an end."""
        runs = self._runs()
        run = runs[index % len(runs)] if runs else None
        if run is not None and run.state == State.FINISHED and run.outcome != outcome:
            with pytest.raises(IntegrityError), transaction.atomic():
                PostProcessingRun.objects.filter(pk=run.pk).update(outcome=outcome)

    @rule(kind=st.sampled_from(["reprocess", "capture", "postprocess"]))
    def start(self, kind: str) -> None:
        self.number += 1
        run = service.start(kind, UID, "memory", actor="test", options={"number": self.number})
        if kind == "postprocess":
            notifications.mark(run, PostProcessingStatus.IN_PROGRESS)

    @rule(ctx=contexts)
    def tell_the_beginning(self, ctx: Context | None) -> None:
        """A worker may be frozen for ever between its claim and this."""
        if ctx is None:
            return
        told = self._told(ctx.run.pk)
        try:
            notifications.begun(ctx)
        except (LeaseLost, RunCanceled):
            assert self._told(ctx.run.pk) == told
        else:
            assert self._told(ctx.run.pk) == told or self._current(ctx)

    def _told(self, run_id: int) -> list[str]:
        return [event["type"] for event in log.after(UID, 0, 500) if event.get("run_id") == run_id]

    def _runs(self) -> list[PostProcessingRun]:
        return list(PostProcessingRun.objects.order_by("id"))

    @rule(target=contexts, index=st.integers(0, 5))
    def claim_one(self, index: int) -> Context | None:
        runs = self._runs()
        if not runs:
            return None
        run = runs[index % len(runs)]
        lease = leases.claim(run, owner=f"worker-{self.number}-{run.fence}")
        if lease is None:
            return None
        assert lease.fence > self.fences.get(run.pk, 0)
        self.fences[run.pk] = lease.fence
        return Context(run, lease, list(run.steps.order_by("position")))

    def _current(self, ctx: Context) -> bool:
        """Whether this worker may still write."""
        row = PostProcessingRun.objects.filter(pk=ctx.run.pk).first()
        return (
            row is not None and row.state == State.RUNNING and row.fence == ctx.lease.fence and not row.cancel_requested
        )

    @rule(ctx=contexts, what=st.sampled_from(["step", "wait", "finish"]))
    def write(self, ctx: Context | None, what: str) -> None:
        if ctx is None:
            return
        allowed = self._current(ctx)
        try:
            if what == "step":
                following = ctx.run.current_step
                checkpoints.complete_step(ctx, ctx.step, timezone.now(), Done(), input_hash="", following=following)
            elif what == "wait":
                checkpoints.suspend(ctx, ctx.step, timezone.now(), Wait(30, {}))
            else:
                checkpoints.finish(ctx, Outcome.SUCCESS, "success")
                notifications.end(ctx.run.pk)
        except (LeaseLost, RunCanceled):
            assert not allowed
        else:
            # A canceled run may only be finished by its holder.
            assert allowed or what == "finish"

    @rule()
    def leases_run_out(self) -> None:
        PostProcessingRun.objects.filter(state=State.RUNNING).update(lease_until=timezone.now() - timedelta(seconds=1))

    @rule()
    def time_passes(self) -> None:
        PostProcessingRun.objects.filter(state=State.WAITING).update(due_at=timezone.now() - timedelta(seconds=9))

    @rule(index=st.integers(0, 5))
    def cancel(self, index: int) -> None:
        runs = self._runs()
        if runs:
            service.cancel(runs[index % len(runs)], actor="test")

    @rule()
    def reconcile(self) -> None:
        recovery.reconcile()

    @rule(index=st.integers(0, 5))
    def vendor_calls_back(self, index: int) -> None:
        runs = self._runs()
        if runs:
            queue.resume_now(runs[index % len(runs)].pk)

    @invariant()
    def one_run_of_a_memory_is_at_work(self) -> None:
        active = PostProcessingRun.objects.filter(blocked=False).exclude(state=State.FINISHED)
        assert active.count() <= 1

    @invariant()
    def somebody_is_next_while_anybody_is_in_line(self) -> None:
        if PostProcessingRun.objects.filter(blocked=True, state=State.QUEUED).exists():
            assert PostProcessingRun.objects.filter(blocked=False).exclude(state=State.FINISHED).exists()

    @invariant()
    def an_end_is_final(self) -> None:
        for run in PostProcessingRun.objects.filter(state=State.FINISHED):
            end = (run.outcome, run.message_id, run.finished_at, run.fence)
            assert self.ended.setdefault(run.pk, end) == end

    @invariant()
    def the_document_speaks_of_a_run_as_it_is(self) -> None:
        """An end that was told stays told; what began before it says nothing more."""
        shown = repository.get_memory(UID, "memory").postprocessing
        run = PostProcessingRun.objects.filter(pk=shown.run_id).first() if shown and shown.run_id else None
        if shown is None or run is None:
            return
        if run.state != State.FINISHED:
            assert shown.status == PostProcessingStatus.IN_PROGRESS
        elif run.notified:
            assert shown.status == notifications.status_of(run)
        newer = PostProcessingRun.objects.filter(kind="postprocess", pk__gt=run.pk)
        assert not newer.exists(), "each of them has spoken since"

    @invariant()
    def nothing_is_told_of_a_run_after_its_end(self) -> None:
        ends = (log.POST_PROCESSING_SUCCESS, log.POST_PROCESSING_FAILED)
        for run in self._runs():
            told = self._told(run.pk)
            assert [index for index, kind in enumerate(told) if kind in ends] in ([], [len(told) - 1])

    @invariant()
    def claims_are_bounded(self) -> None:
        assert all(run.claims <= run.max_claims for run in self._runs())


Life.TestCase.settings = settings(
    max_examples=examples(25), stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.django_db(transaction=True)
class TestLife(Life.TestCase):
    pass


@pytest.mark.django_db
@pytest.mark.parametrize("origin", list(State))
@pytest.mark.parametrize("to", list(State))
def test_only_the_transitions_of_the_table_are_made(origin: State, to: State) -> None:
    run = service.start("reprocess", UID, "memory", actor="test")
    now = timezone.now()
    fields: dict[State, dict[str, Any]] = {
        State.QUEUED: {},
        State.RUNNING: {"lease_owner": "x", "lease_until": now},
        State.WAITING: {"due_at": now},
        State.FINISHED: {"outcome": "success", "finished_at": now},
    }
    if origin == State.WAITING:  # there is a way, but not a direct one
        change(run.pk, State.RUNNING, when=Q(), **fields[State.RUNNING])
    if origin != State.QUEUED:
        assert change(run.pk, origin, when=Q(), **fields[origin])
    made = change(run.pk, to, when=Q(), **fields[to])
    assert made == (to in ALLOWED[origin])
    run.refresh_from_db()
    assert run.state == (to if made else origin)
    if not made and to != origin:
        empty = {"lease_owner": "", "lease_until": None, "due_at": None, "outcome": "", "finished_at": None}
        with pytest.raises(IntegrityError, match="run_transition_allowed"), transaction.atomic():
            PostProcessingRun.objects.filter(pk=run.pk).update(state=to, **{**empty, **fields[to]})


@pytest.mark.django_db
@pytest.mark.parametrize("fields", [{"outcome": "timeout"}, {"fence": 0}, {"state": "queued", "finished_at": None}])
def test_the_database_lets_nobody_rewrite_an_end_or_put_a_fence_back(fields: dict[str, Any]) -> None:
    run = service.start("reprocess", UID, "memory", actor="test")
    assert leases.claim(PostProcessingRun.objects.get(pk=run.pk)) is not None
    assert change(run.pk, State.FINISHED, when=Q(), outcome="success")
    with pytest.raises(IntegrityError, match="run_transition_allowed"), transaction.atomic():
        PostProcessingRun.objects.filter(pk=run.pk).update(**fields)
    # What is no part of the end may still be written: it is told, and erased.
    assert PostProcessingRun.objects.filter(pk=run.pk).update(notified=True, options={}, audio="", outcome="success")


def test_the_same_on_postgresql(postgres_url: str) -> None:
    """The trigger's text on a table of the same columns."""
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {triggers.TABLE}_guard")
        columns = "state text, outcome text, fence bigint, message_id text, finished_at text"
        connection.execute(f"CREATE TABLE {triggers.TABLE}_guard ({columns})")  # type: ignore[arg-type]
        for statement in triggers.statements("postgresql")[:3]:
            connection.execute(statement.replace(triggers.TABLE, f"{triggers.TABLE}_guard"))  # type: ignore[arg-type]
        for old in State:
            for new in State:
                connection.execute(f"DELETE FROM {triggers.TABLE}_guard")
                connection.execute(f"INSERT INTO {triggers.TABLE}_guard VALUES ('{old}', '', 1, '', '')")
                change_it = f"UPDATE {triggers.TABLE}_guard SET state = '{new}'"
                if new == old or new in ALLOWED[old]:
                    connection.execute(change_it)
                else:
                    with pytest.raises(psycopg.errors.CheckViolation):
                        connection.execute(change_it)
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(f"UPDATE {triggers.TABLE}_guard SET fence = 0")
        connection.execute(f"DROP TABLE {triggers.TABLE}_guard")


def test_a_word_outside_the_vocabulary_is_no_outcome() -> None:
    with pytest.raises(ValueError):
        change(1, State.FINISHED, when=Q(), outcome="well")
