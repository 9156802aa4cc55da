"""What a worker writes of its run: each function is one transaction that begins with the fence.

Every such transaction is tried again while the database is away for a moment, for it may carry what was paid for. It
also writes how the step's calls to vendors ended (``ctx.calls``): an answer is forgotten only together with the writing
of what follows from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q

from memories.pipeline import failed_runs
from memories.pipeline.engine import content_hash, deleted_people, lease, notifications, queue, transitions
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import Done, Wait
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact, StepAttempt
from memories.pipeline.states import State, StepState
from omi.core import clock
from omi.core.errors import Outcome, ProviderError

T = TypeVar("T")

log = structlog.get_logger(__name__)

PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
"""Seconds between the tries: a database that restarts. The worker holds its lease meanwhile."""


def retrying(function: Callable[[], T]) -> T:
    """Call ``function`` until the database answers. It is one transaction, and may run several times."""
    for pause in PAUSES:
        try:
            return function()
        except (OperationalError, InterfaceError) as error:
            log.warning("write_tried_again", error=type(error).__name__, seconds=pause)
            reconnect()
            time.sleep(pause)
    return function()


def reconnect() -> None:
    """Open the connection anew where it was cut off."""
    if not connection.in_atomic_block:
        connection.close_if_unusable_or_obsolete()


def write(ctx: Context, change: Callable[[], None], *, uses_answers: bool = False) -> None:
    """Run ``change``, which passes the fence first, and write how calls ended, in one transaction.

    ``uses_answers``: it stores what follows from the late answers that the step was given. They are forgotten with it.
    """
    used = list(ctx.answers) if uses_answers else []
    without_row = [call for call in ctx.calls if not call.stored]

    def once() -> None:
        for call in without_row:
            call.pk, call._state.adding = None, True  # a transaction that was rolled back had given it a row
        with transaction.atomic():
            change()
            for call in ctx.calls:
                call.store_end()
            for call in used:
                call.answer = None
                call.store_end()

    retrying(once)
    ctx.calls.clear()
    if uses_answers:
        ctx.answers.clear()


def save(ctx: Context, checkpoint: dict[str, Any]) -> None:
    """Make the step's checkpoint durable before going on (a vendor's ticket). Raises LeaseLost or RunCanceled."""
    ctx.step.checkpoint = checkpoint  # first: where it cannot be written now, the next write carries it

    def change() -> None:
        lease.write(ctx.lease)
        RunStep.objects.filter(pk=ctx.step.pk).update(checkpoint=checkpoint)

    write(ctx, change)


def set_deadline(ctx: Context, step: RunStep, deadline: datetime) -> None:
    """An optional step begins: the rest of the run waits for it until ``deadline``."""

    def change() -> None:
        lease.write(ctx.lease)
        RunStep.objects.filter(pk=step.pk).update(deadline_at=deadline)

    write(ctx, change)
    step.deadline_at = deadline


def failed_attempt(ctx: Context, began: datetime, error: ProviderError, checkpoint: dict[str, Any]) -> None:
    """The step at work gives up one provider and asks the next: an attempt of its own, with the step's checkpoint."""
    step = ctx.step
    attempt = _attempt(ctx, step, began, "given up", error.outcome, error=error)
    step.checkpoint = checkpoint

    def change() -> None:
        lease.write(ctx.lease)
        _update(step, [attempt], checkpoint=checkpoint)

    write(ctx, change)
    step.attempts = attempt.number


def complete_step(
    ctx: Context, step: RunStep, began: datetime, result: Done, *, input_hash: str, following: str,
    verdict: tuple[Outcome, str] | None = None, error: ProviderError | None = None,
) -> None:  # fmt: skip
    """Store what the step brought, and that ``following`` is at work.

    ``error``: what it could not bring. The result is less than was asked for then: parts that were paid for stay, and
    no later run takes the result over. After the last step the run ends with ``verdict`` in the same transaction.
    """
    artifacts = []
    for name, value in result.artifacts.items():
        sha, body = content_hash.pack(value)
        artifacts.append(StepArtifact(step=step, name=name, sha256=sha, body=body))
    attempt = _attempt(ctx, step, began, "done", result.outcome, detail=result.note, error=error)
    _end_step(ctx, step, began, StepState.DONE, result.outcome, result.note, following=following, attempt=attempt,
              input_hash=input_hash, output=result.output, artifacts=artifacts, verdict=verdict,
              drop_parts=ctx.has_parts and error is None)  # fmt: skip
    for name, value in result.artifacts.items():
        ctx.remember_artifact(step.name, name, value)


def reuse_step(ctx: Context, step: RunStep, earlier: RunStep, *, following: str) -> None:
    """Take the result of an earlier run's step, whose inputs are the same, instead of paying for it again."""
    kept = StepArtifact.objects.filter(step=earlier).exclude(name__startswith=StepArtifact.PART)
    artifacts = [StepArtifact(step=step, name=item.name, sha256=item.sha256, body=item.body) for item in kept]
    _end_step(ctx, step, clock.now(), StepState.DONE, Outcome(earlier.outcome), f"taken from run {earlier.run_id}",
              following=following, input_hash=earlier.input_hash, output=earlier.output, artifacts=artifacts,
              reused_from_id=earlier.pk)  # fmt: skip


def skip_step(ctx: Context, step: RunStep, began: datetime, reason: str, *, following: str) -> None:
    """Store that the step has nothing to do in this run."""
    _end_step(ctx, step, began, StepState.SKIPPED, Outcome.SUCCESS, reason, following=following)


def fail_softly(
    ctx: Context, step: RunStep, began: datetime, outcome: Outcome, sentence: str, *, error: ProviderError | None,
    message_id: str, following: str,
) -> None:  # fmt: skip
    """Store that an optional step failed: it is recorded and shown, and the run goes on."""
    attempt = _attempt(ctx, step, began, "failed", outcome, error=error, message_id=message_id, detail=sentence)
    _end_step(ctx, step, began, StepState.FAILED, outcome, sentence, following=following, attempt=attempt)


def suspend(ctx: Context, step: RunStep, began: datetime, wait: Wait, *, error: ProviderError | None = None) -> None:
    """Let the run wait without a worker until it is due. ``error``: a failure that will be tried again, an attempt."""
    due_at = clock.now() + timedelta(seconds=max(0.0, wait.seconds))
    attempts = [] if error is None else [_attempt(ctx, step, began, "retry", error.outcome, error=error)]
    noted = error is not None or step.state != StepState.WAITING  # not each look at a job that is at work
    values = {
        "state": StepState.WAITING, "checkpoint": wait.checkpoint, "note": wait.note[:300],
        "started_at": step.started_at or began,
    }  # fmt: skip
    step.checkpoint = wait.checkpoint  # first: where it cannot be written now, the next write carries it

    def change() -> None:
        lease.change(ctx.lease, State.WAITING, current_step=step.name, due_at=due_at, task_sent_at=due_at, claims=0)
        if noted:
            reason = wait.note[:300]
            notifications.record(ctx.run.pk, "suspended", step=step.name, seconds=round(wait.seconds, 1), reason=reason)
        _update(step, attempts, **values)
        notifications.waits(ctx, step.name)
        queue.wake_on_commit(ctx.run.pk, at=due_at)

    write(ctx, change)
    _remember(step, attempts, values)


def reclaimed(ctx: Context, step: RunStep | None) -> None:
    """Record that the worker before this one ended without a word, at work on ``step`` if that has not ended."""
    began = ctx.lease.claimed_at
    attempts = [] if step is None else [abandoned_attempt(step, ctx.lease.fence, ctx.lease.lost_owner, began)]

    def change() -> None:
        lease.write(ctx.lease)
        notifications.record(ctx.run.pk, "reclaimed", step=ctx.run.current_step, lost_owner=ctx.lease.lost_owner,
                             fence=ctx.lease.fence)  # fmt: skip
        if step is not None:
            _update(step, attempts)

    write(ctx, change)
    if step is not None:
        _remember(step, attempts, {})


def abandoned_attempt(step: RunStep, fence: int, worker: str, began: datetime) -> StepAttempt:
    """The execution of ``step`` whose worker disappeared."""
    now = clock.now()
    return StepAttempt(
        step=step, number=step.attempts + 1, fence=fence, worker=worker, started_at=began, finished_at=now,
        seconds=max(0.0, (now - began).total_seconds()), result="lost", outcome=Outcome.TIMEOUT,
        message_id="worker_died", detail="the worker disappeared",
    )  # fmt: skip


def finish(ctx: Context, outcome: Outcome, message_id: str, *, detail: str = "", notified: bool = False) -> None:
    """End the run as its holder."""
    write(ctx, lambda: _end_run(ctx, outcome, message_id, detail=detail, notified=notified))
    ctx.run.state = State.FINISHED


def fail(
    ctx: Context, step: RunStep, began: datetime, outcome: Outcome, message_id: str, *, detail: str,
    error: ProviderError | None = None, counted: bool = False,
) -> None:  # fmt: skip
    """End the run because ``step`` failed. ``counted``: its failures are attempts already."""
    attempts = []
    if not counted:
        attempts = [_attempt(ctx, step, began, "failed", outcome, error=error, message_id=message_id, detail=detail)]
    values = _ended(step, began, StepState.FAILED, outcome, detail)

    def change() -> None:
        _end_run(ctx, outcome, message_id, detail=detail, step=step.name, vendor=error.vendor if error else "")
        _update(step, attempts, **values)

    write(ctx, change)
    _remember(step, attempts, values)
    ctx.run.state = State.FINISHED


def finish_idle(
    run: PostProcessingRun, outcome: Outcome, message_id: str, *, when: Q, actor: str, dead_letter: bool = False,
    detail: str = "",
) -> bool:  # fmt: skip
    """End a run that no worker holds: canceled while waiting, superseded, or a dead letter. False where ``when`` does
    not hold any more."""
    with transaction.atomic():
        done = transitions.change(
            run.pk, State.FINISHED, when=when, outcome=outcome, message_id=message_id, dead_letter=dead_letter,
            detail=detail[:300], blocked=False,
        )  # fmt: skip
        if done:
            kind = "dead_letter" if dead_letter else "finished"
            notifications.record(run.pk, kind, actor=actor, outcome=outcome.value, message_id=message_id)
            failed_runs.tell(run.pk, run.uid, outcome.value, step=run.current_step, vendor="", message_id=message_id)
            queue.admit_next(run.uid, run.memory_id)
    return done


# --- the rows ---


def _end_step(
    ctx: Context, step: RunStep, began: datetime, state: StepState, outcome: Outcome, sentence: str, *, following: str,
    attempt: StepAttempt | None = None, artifacts: Iterable[StepArtifact] = (),
    verdict: tuple[Outcome, str] | None = None, drop_parts: bool = False, **more: Any,
) -> None:  # fmt: skip
    """``more``: other fields of the step."""
    values = _ended(step, began, state, outcome, sentence) | more
    attempts = [attempt] if attempt is not None else []
    artifacts = list(artifacts)

    def change() -> None:
        if verdict is None:
            # One claim is left to count: that of this worker, which goes on to the next step with it.
            lease.write(ctx.lease, current_step=following or step.name, step_started_at=clock.now(), claims=1)
        else:
            _end_run(ctx, *verdict, notified=bool(values["output"].get("notified")))
        _update(step, attempts, **values, checkpoint={})
        if artifacts:
            deleted_people.leave_out(ctx.uid, artifacts)
            StepArtifact.objects.bulk_create(
                artifacts, update_conflicts=True, unique_fields=["step", "name"], update_fields=["sha256", "body"]
            )
        if drop_parts:
            of_step = StepArtifact.objects.filter(
                step__name=step.name, step__run__uid=ctx.uid, step__run__memory_id=ctx.memory_id
            )
            of_step.filter(name__startswith=StepArtifact.PART).delete()

    write(ctx, change, uses_answers=True)
    _remember(step, attempts, values)
    ctx.run.current_step, ctx.run.claims = following or step.name, 1
    if verdict is not None:
        ctx.run.state = State.FINISHED


def _end_run(
    ctx: Context, outcome: Outcome, message_id: str, *, detail: str = "", notified: bool = False, step: str = "",
    vendor: str = "",
) -> None:  # fmt: skip
    lease.change(ctx.lease, State.FINISHED, outcome=outcome, message_id=message_id, detail=detail[:300],
                 notified=notified)  # fmt: skip
    notifications.record(ctx.run.pk, "finished", step=step, outcome=outcome.value, message_id=message_id)
    failed_runs.tell(
        ctx.run.pk, ctx.uid, outcome.value, step=step or ctx.run.current_step, vendor=vendor, message_id=message_id
    )
    queue.admit_next(ctx.uid, ctx.memory_id)


def _ended(step: RunStep, began: datetime, state: StepState, outcome: Outcome, sentence: str) -> dict[str, Any]:
    now, started_at = clock.now(), step.started_at or began
    return {
        "state": state, "outcome": outcome, "note": sentence[:300], "input_hash": "", "output": {},
        "started_at": started_at, "finished_at": now, "seconds": max(0.0, (now - started_at).total_seconds()),
    }  # fmt: skip


def _attempt(
    ctx: Context, step: RunStep, began: datetime, result: str, outcome: Outcome, *,
    error: ProviderError | None = None, message_id: str = "", detail: str = "",
) -> StepAttempt:  # fmt: skip
    now = clock.now()
    return StepAttempt(
        step=step, number=step.attempts + 1, fence=ctx.lease.fence, worker=ctx.lease.owner, started_at=began,
        finished_at=now, seconds=max(0.0, (now - began).total_seconds()), result=result, outcome=outcome,
        vendor=error.vendor[:64] if error else "", error_kind=error.kind.value if error else "",
        error_code=error.code[:64] if error else "", message_id=message_id,
        detail=(detail or (error.message if error else ""))[:300],
    )  # fmt: skip


def _update(step: RunStep, attempts: list[StepAttempt], **values: Any) -> None:
    if attempts:
        values["attempts"] = attempts[-1].number
        for row in attempts:
            row.pk = None  # a transaction that was rolled back had given it one
        StepAttempt.objects.bulk_create(attempts)
    RunStep.objects.filter(pk=step.pk).update(**values)


def _remember(step: RunStep, attempts: list[StepAttempt], values: dict[str, Any]) -> None:
    """Bring the step in memory up to date with what was written."""
    for name, value in values.items():
        setattr(step, name, value)
    if attempts:
        step.attempts = attempts[-1].number
