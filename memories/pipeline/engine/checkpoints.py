"""Writing down what a step brought: each function is one transaction that begins with the fence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from memories.pipeline import notifications
from memories.pipeline.engine import content_hash, durable, lease, queue, transitions, unsaved
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.plans import OPTIONAL
from memories.pipeline.engine.results import Done, Wait
from memories.pipeline.models import PostProcessingRun, RunEvent, RunStep, StepArtifact, StepAttempt
from memories.pipeline.states import State, StepState
from memories.pipeline.vendor_calls import partial_results
from omi.core import rows
from omi.core.errors import Outcome, ProviderError


def note(run: PostProcessingRun, kind: str, *, actor: str = "", step: str = "", **data: Any) -> None:
    """Append to the run's event log. ``data``: ids, counts, our own sentences."""
    rows.insert([RunEvent(run=run, at=timezone.now(), type=kind, actor=actor, step=step, data=data)])


def why_canceled(run_id: int) -> str:
    """The message with which somebody asked a run at work to stop: its memory was deleted, or just that."""
    asked = {"run": run_id, "type": CANCEL_REQUESTED}
    found = rows.select(RunEvent, ("data",), asked, order="-id", limit=1)
    return str(found[0][0].get("message_id", "canceled")) if found else "canceled"


CANCEL_REQUESTED = "cancel_requested"


def attempt(
    ctx: Context,
    step: RunStep,
    began: datetime,
    result: str,
    outcome: Outcome,
    *,
    error: ProviderError | None = None,
    message_id: str = "",
    detail: str = "",
) -> None:
    """One more execution of ``step``: counted with the step, its row written by ``let_go``."""
    now = timezone.now()
    step.attempts += 1
    ctx.attempts.append(
        StepAttempt(
            step=step, number=step.attempts, fence=ctx.lease.fence, worker=ctx.lease.owner, started_at=began,
            finished_at=now, seconds=max(0.0, (now - began).total_seconds()), result=result, outcome=outcome,
            vendor=error.vendor[:64] if error else "", error_kind=error.kind.value if error else "",
            error_code=error.code[:64] if error else "", message_id=message_id,
            detail=(detail or (error.message if error else ""))[:300],
        )
    )  # fmt: skip


def let_go(ctx: Context, function: Callable[[], None]) -> None:
    """This worker's last transaction for the run: what is not written yet goes along, its attempts in one INSERT.

    ``function`` writes the run first, and so passes the fence; it may run several times (``durable``). What a worker
    that died could not write is made up for by the next one (``lost``): the steps' rows have it all.
    """

    def once() -> None:
        with transaction.atomic():
            function()
            unsaved.add(ctx)
            for row in ctx.attempts:
                row.pk = None  # a transaction that was rolled back had given it one
            rows.insert(ctx.attempts)

    durable.write(once)
    unsaved.forget(ctx)
    ctx.attempts.clear()


def not_written(steps: Iterable[RunStep], *, fence: int, worker: str, at: datetime) -> list[StepAttempt]:
    """Rows of attempts that were counted with their steps but not written, because the worker died."""
    steps = list(steps)
    written = Counter(StepAttempt.objects.filter(step__in=steps).values_list("step_id", flat=True))
    return [
        StepAttempt(
            step=step, number=number, fence=fence, worker=worker, started_at=step.started_at or at,
            finished_at=step.finished_at or at, seconds=step.seconds,
            result="done" if step.state == StepState.DONE else "failed", outcome=step.outcome or Outcome.TIMEOUT,
            detail=step.note,
        )
        for step in steps
        for number in range(written[step.pk] + 1, step.attempts + 1)
    ]  # fmt: skip


def lost_attempt(step: RunStep, *, fence: int, worker: str, began: datetime, ended: datetime) -> StepAttempt:
    """The execution of ``step`` whose worker disappeared; counts it."""
    step.attempts += 1
    return StepAttempt(
        step=step, number=step.attempts, fence=fence, worker=worker, started_at=began, finished_at=ended,
        seconds=max(0.0, (ended - began).total_seconds()), result="lost", outcome=Outcome.TIMEOUT,
        message_id="worker_died", detail="the worker disappeared",
    )  # fmt: skip


def ended(
    ctx: Context, step: RunStep, began: datetime, result: Done, *, input_hash: str, following: str,
    verdict: tuple[Outcome, str] | None = None, error: ProviderError | None = None,
) -> None:  # fmt: skip
    """The step brought something, and ``following`` begins: written now, or with the next write (``unsaved``).

    ``error``: what it could not bring. The result is less than was asked for then, and no later run takes it over.

    After the last step (``following`` is "") the run ends with ``verdict`` in that transaction.
    """
    attempt(ctx, step, began, "done", result.outcome, detail=result.note, error=error)
    _over(ctx, step, StepState.DONE, result.outcome, result.note, began, input_hash=input_hash, output=result.output,
          following=following)  # fmt: skip
    for name, value in result.artifacts.items():
        sha, body = content_hash.pack(value)
        ctx.unsaved_artifacts.append(StepArtifact(step=step, name=name, sha256=sha, body=body))
        ctx.remember_artifact(step.name, name, value)
    parts_of = step.name if error is None else ""
    if verdict is None:
        if unsaved.due(ctx):
            unsaved.write(ctx, parts_of=parts_of)
        return

    let_go(ctx, lambda: _end(ctx, *verdict, announced=bool(result.output.get("announced"))))
    ctx.run.state = State.FINISHED


def skipped(ctx: Context, step: RunStep, began: datetime, reason: str, *, following: str) -> None:
    _over(ctx, step, StepState.SKIPPED, Outcome.SUCCESS, reason, began, following=following)
    if unsaved.due(ctx):
        unsaved.write(ctx)


def failed_softly(
    ctx: Context, step: RunStep, began: datetime, outcome: Outcome, sentence: str, *, error: ProviderError | None,
    message_id: str, following: str,
) -> None:  # fmt: skip
    """An optional step failed: recorded and shown, and the run goes on."""
    attempt(ctx, step, began, "failed", outcome, error=error, message_id=message_id, detail=sentence)
    _over(ctx, step, StepState.FAILED, outcome, sentence, began, following=following)
    unsaved.write(ctx)


def reused(ctx: Context, step: RunStep, earlier: RunStep, *, following: str) -> None:
    """The inputs are those of an earlier run's step: take its result instead of doing (and paying) it again."""
    step.reused_from = earlier
    _over(
        ctx, step, StepState.DONE, Outcome(earlier.outcome), f"taken from run {earlier.run_id}", timezone.now(),
        input_hash=earlier.input_hash, output=earlier.output, following=following,
    )  # fmt: skip
    ctx.unsaved_artifacts += [
        StepArtifact(step=step, name=item.name, sha256=item.sha256, body=item.body)
        for item in StepArtifact.objects.filter(step=earlier).exclude(partial_results.IN_BETWEEN)
    ]
    unsaved.write(ctx)


def put_down(ctx: Context, step: RunStep, began: datetime, wait: Wait, *, error: ProviderError | None = None) -> None:
    """Nobody waits: the run sleeps until its wake-up time. A failure that will be tried again is an attempt."""
    wake_at = timezone.now() + timedelta(seconds=max(0.0, wait.seconds))
    if error is not None:
        attempt(ctx, step, began, "retry", error.outcome, error=error)
    told = error is not None or step.state != StepState.WAITING  # not each look at a job that is at work
    # Before it is written: where that fails for good, whoever waits for the database next has it all the same.
    step.state, step.checkpoint, step.note = StepState.WAITING, wait.checkpoint, wait.note[:300]
    step.started_at = step.started_at or began

    def suspend() -> None:
        lease.change(ctx.lease, State.WAITING, current_step=step.name, wake_at=wake_at, woken_at=wake_at, claims=0)
        if told:
            note(ctx.run, "put_down", step=step.name, seconds=round(wait.seconds, 1), reason=wait.note[:300])
        step.save(update_fields=["state", "checkpoint", "note", "started_at", "attempts"])
        notifications.waits(ctx, step.name)
        queue.wake_on_commit(ctx.run.pk, at=wake_at)

    let_go(ctx, suspend)


def lost(ctx: Context, step: RunStep | None) -> None:
    """The worker before this one ended without a word, while at work on ``step`` if that is not over."""
    at, worker = ctx.lease.claimed_at, ctx.lease.lost_owner
    ctx.attempts += not_written(ctx.steps.values(), fence=ctx.lease.fence - 1, worker=worker, at=at)
    if step is not None:
        attempt(ctx, step, ctx.lease.claimed_at, "lost", Outcome.TIMEOUT, message_id="worker_died",
                detail="the worker disappeared")  # fmt: skip
        if step.name in OPTIONAL:  # its patience goes on counting (retries.patience_left)
            step.started_at = step.started_at or ctx.run.step_started_at

    def write() -> None:
        lease.write(ctx.lease)
        note(ctx.run, "taken_over", step=ctx.run.current_step, lost_owner=worker, fence=ctx.lease.fence)
        if step is not None:
            step.save(update_fields=["attempts", "started_at"])

    let_go(ctx, write)


def finished(
    ctx: Context,
    outcome: Outcome,
    message_id: str,
    *,
    detail: str = "",
    announced: bool = False,
    step: RunStep | None = None,
    began: datetime | None = None,
    error: ProviderError | None = None,
    counted: bool = False,
) -> None:
    """The end, seen by the holder of the run. ``counted``: the step's failures are attempts already."""
    if step is not None and began is not None:
        if not counted:
            attempt(ctx, step, began, "failed", outcome, error=error, message_id=message_id, detail=detail)
        _over(ctx, step, StepState.FAILED, outcome, detail, began, following=step.name)
    let_go(ctx, lambda: _end(ctx, outcome, message_id, detail=detail, announced=announced, step=step))
    ctx.run.state = State.FINISHED


def _end(
    ctx: Context, outcome: Outcome, message_id: str, *, announced: bool, detail: str = "", step: RunStep | None = None
) -> None:
    lease.change(
        ctx.lease, State.FINISHED, outcome=outcome, message_id=message_id, detail=detail[:300], announced=announced
    )
    note(ctx.run, "finished", step=step.name if step else "", outcome=outcome.value, message_id=message_id)
    next_in_line(ctx.uid, ctx.memory_id)


def finish_idle(run_id: int, uid: str, memory_id: str, outcome: Outcome, message_id: str, *, when: Any,
                actor: str, dead_letter: bool = False, detail: str = "") -> bool:  # fmt: skip
    """The end of a run that nobody holds: canceled while waiting, or given up by the reconciler."""
    with transaction.atomic():
        done = transitions.change(
            run_id, State.FINISHED, when=when, outcome=outcome, message_id=message_id, dead_letter=dead_letter,
            detail=detail[:300], held=False,
        )  # fmt: skip
        if done:
            RunEvent.objects.create(
                run_id=run_id, at=timezone.now(), type="dead_letter" if dead_letter else "finished", actor=actor,
                data={"outcome": outcome.value, "message_id": message_id},
            )  # fmt: skip
            next_in_line(uid, memory_id)
    return done


def next_in_line(uid: str, memory_id: str) -> None:
    """Let the oldest run that stands in line begin. Call it inside the transaction of the end."""
    in_line = {"uid": uid, "memory_id": memory_id, "held": True, "state": State.QUEUED}
    first = rows.select(PostProcessingRun, ("id",), in_line, order="id", limit=1)
    if not first:
        return
    active = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id, held=False).exclude(state=State.FINISHED)
    if active.exists():
        return
    run_id = first[0][0]
    if PostProcessingRun.objects.filter(pk=run_id, held=True, state=State.QUEUED).update(held=False):
        queue.wake_on_commit(run_id)


def _over(
    ctx: Context, step: RunStep, state: StepState, outcome: Outcome, sentence: str, began: datetime, *,
    following: str, input_hash: str = "", output: dict[str, Any] | None = None,
) -> None:  # fmt: skip
    """The step is over and ``following`` at work: in memory, and among what is to be written."""
    now = timezone.now()
    step.state, step.outcome, step.note = state, outcome, sentence[:300]
    step.input_hash, step.output = input_hash, output or {}
    step.started_at = step.started_at or began
    step.finished_at = now
    step.seconds = max(0.0, (now - step.started_at).total_seconds())
    if step not in ctx.unsaved:
        ctx.unsaved.append(step)
    ctx.run.current_step, ctx.run.claims = following or step.name, 1  # this worker's own claim goes on counting
