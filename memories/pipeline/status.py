"""A run as the app and support staff see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from memories.pipeline import failure_catalogue, queries
from memories.pipeline.models import PostProcessingRun, RunStep, StepAttempt
from memories.pipeline.states import State, StepState
from memories.pipeline.vendor_calls import circuit_breaker, records
from omi.core.errors import ErrorKind, Outcome, ProviderError


def document(run: PostProcessingRun) -> dict[str, Any]:
    """JSON of a run. ``percent`` and ``eta_seconds`` rest on the measured times of this installation's steps; the time
    that it waits, and what is left of the run that it is queued behind, are part of the latter.

    ``message``: how it ended; while it waits to try again, what went wrong the last time. ``retryable``: a new try
    makes sense. ``retry_after`` (seconds): while it waits, when it goes on by itself (None: as soon as a vendor that
    was asked answers); after the end, how long the vendor that failed is not called yet.
    """
    steps = list(run.steps.order_by("position"))
    waits = run.state == State.WAITING
    ended = run.state == State.FINISHED
    message = failure_catalogue.get(run.message_id) if ended else _trouble(run, steps)
    left, percent = _progress(run, steps)
    left += _idle(run)
    return {
        "id": run.pk,
        "memory_id": run.memory_id,
        "kind": run.kind,
        "state": run.state,
        "in_line": run.blocked,
        "step": None if ended else run.current_step,
        "percent": 100 if run.succeeded else percent,
        "eta_seconds": None if ended else round(left, 1),
        "attempts": _attempts(steps),
        "outcome": run.outcome or None,
        "message": {
            "id": message.id,
            "header": message.header,
            "sentence": message.sentence,
            "what_to_do": message.what_to_do,
            "fault": message.fault,
        }
        if message
        else None,
        "retryable": bool(ended and message and message.retryable),
        "retry_after": _until(_goes_on(run) if waits else _vendor_back(run, message if ended else None)),
        "dead_letter": run.dead_letter,
        "from_step": run.from_step or None,
        "follows": run.follows_id,
        "reason": run.reason,
        "created_at": _iso(run.created_at),
        "started_at": _iso(run.started_at),
        "finished_at": _iso(run.finished_at),
        "steps": [_step(run, step) for step in steps],
    }


def _attempts(steps: list[RunStep]) -> int:
    """How often it was tried: once, and once more for each time that a step was done again. 0 before the first."""
    tried = [step.attempts for step in steps if step.attempts]
    return 1 + sum(count - 1 for count in tried) if tried else 0


def _step(run: PostProcessingRun, step: RunStep) -> dict[str, Any]:
    at_work = run.state == State.RUNNING and run.current_step == step.name and step.state != StepState.DONE
    return {
        "name": step.name,
        "state": "running" if at_work else step.state,
        "outcome": step.outcome or None,
        "note": step.note,
        "attempts": step.attempts,
        "seconds": round(step.seconds, 3),
        "reused_from_run": step.reused_from.run_id if step.reused_from else None,
        "assessment": step.output if step.name == "assess" and step.output else None,
    }


def _progress(run: PostProcessingRun, steps: list[RunStep]) -> tuple[float, int]:
    """Seconds left and percent done. The step at work counts up to nine tenths of its usual time."""
    prepared: dict[str, Any] = next((step.output for step in steps if step.name == "prepare_audio"), {})
    usual = queries.step_seconds(prepared.get("seconds"))
    total = sum(usual.get(step.name, 1.0) for step in steps) or 1.0
    done = 0.0
    for step in steps:
        share = usual.get(step.name, 1.0)
        if step.state in (StepState.DONE, StepState.SKIPPED, StepState.FAILED):
            done += share
        elif step.name == run.current_step and run.state in (State.RUNNING, State.WAITING):
            since = step.started_at or run.step_started_at
            spent = (timezone.now() - since).total_seconds() if since else 0.0
            done += min(0.9 * share, max(0.0, spent))
    return max(0.0, total - done), min(99, int(100 * done / total))


def _idle(run: PostProcessingRun) -> float:
    """Seconds that pass before it goes on: until it is due, or until the run before it has ended."""
    if run.state == State.WAITING:
        return _until(_goes_on(run)) or 0.0
    if not run.blocked:
        return 0.0
    before = PostProcessingRun.objects.filter(uid=run.uid, memory_id=run.memory_id, blocked=False)
    active = before.exclude(state=State.FINISHED).first()
    if active is None:
        return 0.0
    theirs = list(active.steps.order_by("position"))
    return _progress(active, theirs)[0] + _idle(active)


def _trouble(run: PostProcessingRun, steps: list[RunStep]) -> failure_catalogue.Message | None:
    """Why a run that waits was suspended, where it was a failure."""
    if run.state != State.WAITING:
        return None
    at_work = next((step for step in steps if step.name == run.current_step), None)
    last = StepAttempt.objects.filter(step=at_work).order_by("-id").first() if at_work is not None else None
    if last is None or last.result != "retry" or not last.error_kind:
        return None
    error = ProviderError(
        last.vendor, last.detail, kind=ErrorKind(last.error_kind), code=last.error_code, outcome=Outcome(last.outcome)
    )
    return failure_catalogue.for_provider_error(error, run.current_step)


def _goes_on(run: PostProcessingRun) -> datetime | None:
    """None while a vendor was asked and answers later: it goes on when the answer comes, not at the deadline."""
    return run.due_at if records.of_step(run, run.current_step) is None else None


def _vendor_back(run: PostProcessingRun, message: failure_catalogue.Message | None) -> datetime | None:
    """When the vendor that a failed run ended at is called again, where its breaker is open."""
    if message is None or not message.retryable or run.succeeded:
        return None
    last = StepAttempt.objects.filter(step__run=run).exclude(vendor="").order_by("-id").first()
    return circuit_breaker.closes_at(last.vendor) if last is not None else None


def _until(moment: datetime | None) -> float | None:
    return None if moment is None else round(max(0.0, (moment - timezone.now()).total_seconds()), 1)


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
