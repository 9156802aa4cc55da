"""Carrying a run from where it stands to its end, or to where it has to wait.

The only place that decides about retries. Adapters raise ``ProviderError``; what a step raises beyond its contract is a
fault of ours: it is logged with its traceback and retried a few times, then ends the run with a sentence.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from types import ModuleType
from typing import Any, Final

import structlog
from django.db import InterfaceError, OperationalError, transaction

from memories.pipeline import failure_catalogue, recovery, subprocess_runner
from memories.pipeline.engine import (
    checkpoints,
    content_hash,
    fairness,
    fault_injection,
    lease,
    notifications,
    processes,
    queue,
    retry_policy,
)
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.heartbeat import Heartbeat
from memories.pipeline.engine.plans import OPTIONAL
from memories.pipeline.engine.results import AnswersLater, Done, LeaseLost, RunCanceled, Skip, StepError, Wait
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.pipeline.states import GOOD, Kind, State, StepState
from memories.pipeline.vendor_calls import jobs, records
from omi.core import clock, traces
from omi.core.errors import ErrorKind, Outcome, ProviderError, StoreError

DEFAULT_LIMIT: Final = 300.0
"""Seconds that one execution of a step may take before its run is given to another worker (``LIMIT`` of the step)."""


def work(run_id: int, *, owner: str | None = None) -> str:
    """Do what can be done now for run ``run_id``. Returns what came of it, for logs and tests."""
    run = PostProcessingRun.objects.filter(pk=run_id).first()
    if run is None:
        return "unknown"
    with transaction.atomic():
        held = lease.claim(run, owner=owner)
        if held is not None:
            fairness.took_turn(run.uid)
            notifications.claimed(run)
    if held is None:
        return "ended" if recovery.end_unclaimable(run) else "not_claimed"
    if held.previous is State.RUNNING:
        processes.end_hung(held.lost_owner, run_id=run.pk)
    fault_injection.point("claimed")
    heartbeat = Heartbeat(held)

    def more_time() -> None:
        heartbeat.begin_anew()
        _check_deadline(ctx, ctx.step)

    ctx = Context(run, held, list(RunStep.objects.filter(run=run).order_by("position")), more_time=more_time)
    structlog.contextvars.bind_contextvars(
        uid=run.uid, memory_id=run.memory_id, run_id=run.pk, run_kind=run.kind, fence=held.fence
    )
    try:
        with traces.span("run", run_id=run.pk, kind=run.kind, began=run.created_at.isoformat()) as tell:
            result = _walk(ctx, heartbeat)
            tell(result)
        fault_injection.point("before-ack")
        return result
    except LeaseLost:
        ctx.log.warning("lease_lost", fence=held.fence)
        return "lease_lost"
    except RunCanceled as canceled:
        return _canceled(ctx, canceled)
    finally:
        heartbeat.stop()
        try:
            checkpoints.retrying(lambda: records.settle(ctx))
        finally:  # also where the database stays away: copies of the recording must not
            ctx.close()
            structlog.contextvars.unbind_contextvars("uid", "memory_id", "run_id", "run_kind", "fence", "step")


def _walk(ctx: Context, heartbeat: Heartbeat) -> str:
    run = ctx.run
    unknown = [name for name in run.plan if name not in ctx.steps or load(name) is None]
    if unknown:
        checkpoints.finish(ctx, Outcome.CONFIG_ERROR, "unknown_step", detail=", ".join(unknown))
        notifications.end(run.pk)
        return "finished"
    if ctx.lease.previous is State.RUNNING:
        checkpoints.reclaimed(ctx, None if ctx.step.ended else ctx.step)
        ctx.log.warning("reclaimed", step=run.current_step)
    notifications.begun(ctx)
    order = [ctx.steps[name] for name in run.plan]
    for position, step in enumerate(order):
        if step.ended:
            continue
        following = order[position + 1].name if position + 1 < len(order) else ""
        if run.current_step != step.name:
            run.current_step = step.name
            lease.write(ctx.lease, current_step=step.name, step_started_at=clock.now())
        structlog.contextvars.bind_contextvars(step=step.name)
        with traces.span("step", run_id=run.pk, kind=run.kind, step=step.name) as tell:
            ended = _step(ctx, step, following, heartbeat)
            tell(step.outcome or step.state)
        if ended is not None:
            return ended
    published = ctx.output(order[-1].name)
    outcome, message_id = _verdict(ctx, published)
    if run.state != State.FINISHED:  # the last step's transaction ends the run, unless that step was not run by us
        checkpoints.finish(ctx, outcome, message_id, notified=published.get("notified", False))
    ctx.log.info("run_finished", outcome=outcome.value, message=message_id)
    if not published.get("notified", False):
        notifications.end(run.pk)
    return "finished"


def _step(ctx: Context, step: RunStep, following: str, heartbeat: Heartbeat) -> str | None:
    """Run one step. None: go on with the next one."""
    module = load(step.name)
    assert module is not None
    began, pending = clock.now(), None
    ctx.paid, ctx.answers = 0, []
    limit = getattr(module, "LIMIT", DEFAULT_LIMIT)
    if step.name in OPTIONAL and module.asked(ctx):  # the rest waits for nothing that nobody asked for
        if step.deadline_at is None:
            audio_seconds = float(ctx.output("prepare_audio").get("seconds", 0.0))
            checkpoints.set_deadline(ctx, step, retry_policy.optional_deadline(audio_seconds))
        limit = min(limit, max(0.0, _seconds_left(step)))  # a worker that hangs in it is reclaimed: the run goes on
    heartbeat.step(limit)
    try:
        _check_deadline(ctx, step)
        input_hash = content_hash.of_step(step.name, module, ctx)
        earlier = reusable(ctx, step, input_hash)
        if earlier is not None:
            checkpoints.reuse_step(ctx, step, earlier, following=following)
            ctx.log.info("step_reused", from_run=earlier.run_id)
            return None
        fault_injection.point(f"{step.name}-before")
        try:
            result = module.run(ctx)
        except AnswersLater as later:
            result, pending = later.wait, later.call_id
        fault_injection.point(f"{step.name}-during")  # the work is done, nothing is stored yet
        _store(ctx, step, began, result, input_hash, following)
        if pending is not None and records.is_answered(pending):
            queue.resume_now(ctx.run.pk)  # the answer came just before the run was suspended: it found nobody to resume
        fault_injection.point(f"{step.name}-after")
        return "waiting" if isinstance(result, Wait) else None
    except (LeaseLost, RunCanceled):
        raise
    except StepError as error:
        return _fail(ctx, step, began, error.message_id, following, detail=error.detail, error=error.cause,
                     counted=error.cause is not None)  # fmt: skip
    except ProviderError as error:
        return _provider_failed(ctx, step, began, error, following)
    except (OperationalError, InterfaceError) as error:
        # Our own tables or a local store. If they are still away the lease runs out, and the run is reclaimed.
        ctx.log.error("step_database_error", error=type(error).__name__)
        checkpoints.reconnect()
        away = StoreError("database", "the database is out of reach", kind=ErrorKind.TRANSIENT,
                          code=type(error).__name__)  # fmt: skip
        return _provider_failed(ctx, step, began, away, following)
    except Exception as error:
        ctx.log.exception("step_crashed", error=type(error).__name__)
        wrapped = ProviderError("omi", f"unexpected {type(error).__name__}", kind=ErrorKind.TRANSIENT, code="internal")
        return _provider_failed(ctx, step, began, wrapped, following, tries=3)


def _check_deadline(ctx: Context, step: RunStep) -> None:
    """Raise where an optional step has had its time: what is there already must not wait for it any longer.

    An answer that has come is taken all the same: it was paid for, and taking it takes no time.
    """
    if step.name not in OPTIONAL or _seconds_left(step) >= 0.0:
        return
    call = records.of_step(ctx.run, step.name)
    if call is not None and call.answer is not None:
        return
    said = f"{step.name} took longer than the rest can wait for it"
    raise ProviderError(call.vendor if call is not None else "omi", said, kind=ErrorKind.PERMANENT, code="patience",
                        outcome=Outcome.TIMEOUT)  # fmt: skip


def _seconds_left(step: RunStep) -> float:
    """Until the deadline of an optional step."""
    return (step.deadline_at - clock.now()).total_seconds() if step.deadline_at is not None else 0.0


def _store(ctx: Context, step: RunStep, began: Any, result: Any, input_hash: str, following: str) -> None:
    if isinstance(result, Done):
        verdict = None if following else _verdict(ctx, result.output)
        checkpoints.complete_step(ctx, step, began, result, input_hash=input_hash, following=following, verdict=verdict)
        ctx.log.info("step_done", outcome=result.outcome.value, seconds=round(step.seconds, 3))
        _after(ctx, step)
    elif isinstance(result, Skip):
        checkpoints.skip_step(ctx, step, began, result.reason, following=following)
    elif isinstance(result, Wait):
        retry_policy.store_answers(result.checkpoint)
        if step.name in OPTIONAL:  # a pending call is looked after at the step's deadline, not at its own
            result = replace(result, seconds=min(result.seconds, max(0.0, _seconds_left(step)) + 1.0))
        checkpoints.suspend(ctx, step, began, result, error=result.error)
        ctx.log.info("step_waits", seconds=round(result.seconds, 1), note=result.note)
    else:
        raise TypeError(f"step {step.name} gave back {type(result).__name__}")


def _after(ctx: Context, step: RunStep) -> None:
    """What a step tidies up once its result is safe. Nothing of it may touch the run."""
    stored = getattr(load(step.name), "stored", None)
    if stored is None:
        return
    try:
        stored(ctx)
    except Exception:
        ctx.log.exception("tidying_up_failed")


def _provider_failed(
    ctx: Context, step: RunStep, began: Any, error: ProviderError, following: str, *, tries: int | None = None
) -> str | None:
    checkpoint = ctx.checkpoint
    if isinstance(error, StoreError) and step.name not in OPTIONAL and not ctx.paid:
        seconds = retry_policy.store_delay(checkpoint, error)
    else:  # a vendor; or a step that would pay one again each time a store fails it
        scope = f"{step.name}/{error.vendor}"
        seconds = retry_policy.delay(checkpoint, scope, error, elsewhere=ctx.failures_elsewhere())
    if error.code == subprocess_runner.TOO_LONG:
        tries = 2  # the same work takes as long again, unless the machine was overloaded
    if tries is not None and checkpoint["failures"][f"{step.name}/{error.vendor}"]["count"] >= tries:
        seconds = None
    if seconds is not None and step.name in OPTIONAL and seconds > _seconds_left(step):
        seconds = None
    if seconds is not None:
        refused = error.code == retry_policy.BREAKER_OPEN  # by ourselves: that was no attempt
        wait = Wait(seconds, checkpoint, f"{error.vendor}: {error.message}")
        checkpoints.suspend(ctx, step, began, wait, error=None if refused else error)
        ctx.log.warning("step_retries", vendor=error.vendor, code=error.code, seconds=round(seconds, 1))
        return "waiting"
    message_id = (
        "internal_error" if error.code == "internal" else failure_catalogue.for_provider_error(error, step.name).id
    )
    if _went_on_without(ctx, step, began, message_id, following, error):
        return None
    return _fail(ctx, step, began, message_id, following, detail=str(error), error=error)


def _went_on_without(
    ctx: Context, step: RunStep, began: Any, message_id: str, following: str, error: ProviderError
) -> bool:
    """Whether the step has something to go on with although its vendor failed for good (``without``)."""
    without = getattr(load(step.name), "without", None)
    if without is None or isinstance(error, StoreError):
        return False
    try:
        result = without(ctx, error)
    except (LeaseLost, RunCanceled):
        raise
    except Exception:
        ctx.log.exception("step_without_crashed")
        return False
    if isinstance(result, Done):
        checkpoints.complete_step(ctx, step, began, result, input_hash="", following=following, error=error)
    elif isinstance(result, Skip):
        checkpoints.fail_softly(ctx, step, began, error.outcome, result.reason, error=error, message_id=message_id,
                                following=following)  # fmt: skip
    else:
        return False
    ctx.log.error("step_went_on_without", vendor=error.vendor, code=error.code, message=message_id)
    return True


def _fail(
    ctx: Context, step: RunStep, began: Any, message_id: str, following: str, *, detail: str,
    error: ProviderError | None = None, counted: bool = False,
) -> str | None:  # fmt: skip
    """``counted``: the failures are in the history already, one by one."""
    message = failure_catalogue.get(message_id)
    ctx.log.error("step_failed", message=message.id, detail=detail, vendor=error.vendor if error else "")
    if step.name in OPTIONAL:
        checkpoints.fail_softly(ctx, step, began, message.outcome, detail or message.sentence, error=error,
                                message_id=message.id, following=following)  # fmt: skip
        return None
    checkpoints.fail(ctx, step, began, message.outcome, message.id, detail=detail, error=error, counted=counted)
    notifications.end(ctx.run.pk)
    return "finished"


def _canceled(ctx: Context, canceled: RunCanceled) -> str:
    message_id = canceled.message_id if canceled.message_id != "canceled" else notifications.why_canceled(ctx.run.pk)
    try:
        checkpoints.finish(ctx, Outcome.CANCELED, message_id)
    except LeaseLost:
        return "lease_lost"
    jobs.cancel(ctx.run)
    notifications.end(ctx.run.pk)
    ctx.log.info("run_canceled", message=message_id)
    return "canceled"


def _verdict(ctx: Context, published: dict[str, Any]) -> tuple[Outcome, str]:
    """How a run that reached its end ended: success, unless nobody speaks in the recording that it was asked about."""
    if ctx.output("prepare_audio").get("silence"):
        # What was heard live stays as it is, but nothing came of this recording: that is not "success".
        if not published.get("segments"):
            return Outcome.EXPECTED_SILENCE, "expected_silence"
        if ctx.run.kind == Kind.POSTPROCESS:
            return Outcome.EXPECTED_SILENCE, "silence_kept_transcript"
    structure = ctx.steps.get("structure")
    if structure is not None and structure.outcome not in (*GOOD, ""):
        return Outcome.SUCCESS, "summary_by_rules" if structure.state == StepState.DONE else "summary_kept"
    if ctx.did("assess") and not ctx.output("assess").get("accepted", True):
        return Outcome.SUCCESS, "kept_live_transcript"
    emotions = ctx.steps.get("emotions")
    if emotions is not None and emotions.state == StepState.FAILED:
        return Outcome.SUCCESS, "emotions_missing"  # partial success is shown as partial
    return Outcome.SUCCESS, "success"


def reusable(ctx: Context, step: RunStep, input_hash: str) -> RunStep | None:
    """Return the same step of an earlier run of this memory, with the same inputs, unless this run was asked to do it
    anew.

    A run that follows another one, or that was given a recording, reuses whatever is unchanged; other runs were asked
    for to do their work again, and reuse only what cannot come out differently (``REUSE = "always"``).
    """
    module = load(step.name)
    reuse = getattr(module, "REUSE", True)
    if not reuse or (ctx.run.follows_id is None and ctx.run.kind != Kind.POSTPROCESS and reuse != "always"):
        return None
    if ctx.anew(step.name):
        return None
    found = ctx.earlier.get((step.name, input_hash))
    earlier = RunStep.objects.get(pk=found) if found is not None else None
    still = getattr(module, "still_there", None)
    return earlier if earlier is None or still is None or still(ctx, earlier) else None


def load(name: str) -> ModuleType | None:
    """The module of a step; None for a name that this version does not know (a deploy removed it)."""
    if not name.isidentifier():
        return None
    try:
        return importlib.import_module(f"memories.pipeline.steps.{name}")
    except ModuleNotFoundError as error:
        if error.name == f"memories.pipeline.steps.{name}":
            return None
        raise
