"""A run whose workers died as often as they may: it ends as a dead letter, or goes on without an optional step.

Nobody holds the run here, so each write is conditional on that. The last worker's death is written down by nobody
else: a run that is claimed again has the next worker for it (``progress.lost``).
"""

from __future__ import annotations

from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from memories.pipeline import failure_catalogue
from memories.pipeline.engine import checkpoints, queue, transitions
from memories.pipeline.engine.plans import OPTIONAL
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.pipeline.states import State, StepState
from omi.core import rows
from omi.core.errors import Outcome

log = structlog.get_logger(__name__)

REASON = "worker_died"


def optional(run: PostProcessingRun) -> bool:
    """Whether it is an optional step that killed the workers: its failure is no reason to lose what is there."""
    return run.current_step in OPTIONAL and run.state == State.RUNNING


def go_on_without(run: PostProcessingRun, when: Any) -> bool:
    """The step fails softly and the run goes on behind it, with its claims anew. False where somebody was faster."""
    now = timezone.now()
    plan = list(run.plan)
    following = "".join(plan[plan.index(run.current_step) + 1 :][:1])
    with transaction.atomic():
        gone_on = transitions.change(run.pk, State.QUEUED, when=when, claims=0, current_step=following, woken_at=now)
        if gone_on:
            _step_failed(run)
            checkpoints.note(run, "step_given_up", actor="reconciler", step=run.current_step, message_id=REASON)
            queue.wake_on_commit(run.pk)
    if gone_on:
        log.error("step_given_up", run_id=run.pk, uid=run.uid, memory_id=run.memory_id, step=run.current_step)
    return gone_on


def dead_letter(run: PostProcessingRun, when: Any) -> bool:
    """The end of the run. False where somebody was faster."""
    with transaction.atomic():
        done = checkpoints.finish_idle(
            run.pk, run.uid, run.memory_id, Outcome.TIMEOUT, REASON, when=when, actor="reconciler", dead_letter=True,
            detail=f"claimed {run.claims} times at {run.current_step}",
        )  # fmt: skip
        if done:
            _step_failed(run)
    if done:
        log.error("dead_letter", run_id=run.pk, uid=run.uid, memory_id=run.memory_id, step=run.current_step)
    return done


def _step_failed(run: PostProcessingRun) -> None:
    """The step at work has failed; the attempts that the dead workers had counted are written, the last one too."""
    now = timezone.now()
    steps = rows.instances(RunStep, {"run": run.pk}, order="position")
    began = run.step_started_at or run.heartbeat_at or now
    attempts = checkpoints.not_written(steps, fence=run.fence, worker=run.lease_owner, at=began)
    step = next((item for item in steps if item.name == run.current_step), None)
    if step is not None and step.state in (StepState.PENDING, StepState.WAITING):
        attempts.append(checkpoints.lost_attempt(step, fence=run.fence, worker=run.lease_owner, began=began, ended=now))
        begun = step.started_at or began
        values = {
            "state": StepState.FAILED, "outcome": Outcome.TIMEOUT, "note": failure_catalogue.get(REASON).sentence,
            "attempts": step.attempts, "started_at": begun, "finished_at": now,
            "seconds": max(0.0, (now - begun).total_seconds()),
        }  # fmt: skip
        rows.update(RunStep, values, {"id": step.pk})
    rows.insert(attempts)
