"""What a worker has done and not written down yet.

A result is written at once where somebody was paid for it, and where the work that is not written down would take
longer than ``AT_MOST`` to do again. Everything else goes along with the next write, which is made before an engine or a
vendor is asked, before anything becomes visible, and when the worker lets the run go. A crash repeats what cost nothing
and took no time.
"""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.utils import timezone

from memories.pipeline import deleted_people
from memories.pipeline.engine import durable, lease
from memories.pipeline.engine.context import Context
from memories.pipeline.models import RunStep, VendorCall
from memories.pipeline.states import State, StepState
from memories.pipeline.vendor_calls import partial_results
from omi.core import rows

AT_MOST: Final = 0.5
"""Seconds of work that a crash may cost, in steps that cost nothing."""

LONG: Final = 60.0
"""Seconds of recording from which on every step is written when it ends."""

_STORED = (
    "state", "outcome", "note", "input_hash", "output", "attempts", "reused_from_id", "started_at", "finished_at",
    "seconds",
)  # fmt: skip


_AT_THE_END = (
    "latency", "reference", "audio_seconds", "cost", "input_tokens", "output_tokens", "outcome", "error_kind",
    "error_code", "taken",
)  # fmt: skip


def due(ctx: Context) -> bool:
    """Whether what is not written down yet has to be written now.

    Of a long recording everything is: each step takes its time, and whoever asks is told which one is at work. So it is
    after a worker died: what was got through must count as progress, for the run is ended where there is none.
    """
    if ctx.lease.previous is State.RUNNING:
        return True
    if ctx.paid or ctx.has_parts or float(ctx.output("prepare_audio").get("seconds", 0.0)) > LONG:
        return True
    return sum(step.seconds for step in ctx.unsaved) > AT_MOST


def write(ctx: Context, *, parts_of: str = "") -> None:
    """One transaction that begins with the fence. Raises LeaseLost or RunCanceled.

    ``parts_of``: a step whose whole result is among what is written, so that its parts are not needed any more.
    """

    def once() -> None:
        with transaction.atomic():
            begin(ctx)
            if parts_of:
                partial_results.drop(ctx, parts_of)

    durable.write(once)
    ctx.has_parts = ctx.has_parts and not parts_of
    forget(ctx)


def begin(ctx: Context) -> None:
    """The same within the caller's transaction; call ``forget`` once it has committed."""
    now = timezone.now()
    # One claim is left to count: that of this worker, who goes on to the next step with it.
    lease.write(ctx.lease, current_step=ctx.run.current_step, step_started_at=now, claims=1)
    add(ctx)


def add(ctx: Context) -> None:
    """The rows alone: the caller has written the run, and so passed the fence, in this transaction."""
    for step in ctx.unsaved:
        values = {name: getattr(step, name) for name in _STORED}
        rows.update(RunStep, {**values, "checkpoint": {}}, {"id": step.pk})
    if ctx.unsaved_artifacts:
        deleted_people.leave_out(ctx.uid, ctx.unsaved_artifacts)
        rows.insert(ctx.unsaved_artifacts, unique=("step", "name"))
    for call in ctx.unsaved_calls:
        end_call(call)


def forget(ctx: Context) -> None:
    ctx.unsaved.clear()
    ctx.unsaved_artifacts.clear()
    ctx.unsaved_calls.clear()


def end_call(call: VendorCall) -> None:
    """What became of a call, in the row that was written before it.

    An UPDATE, never an upsert: the user may have been erased meanwhile, and nothing of them may come back.
    """
    rows.update(VendorCall, {name: getattr(call, name) for name in _AT_THE_END}, {"id": call.pk})


def take_back(ctx: Context, step: RunStep) -> None:
    """The step's result could not be written: it is as if the step had not ended."""
    if step not in ctx.unsaved:
        return
    ctx.unsaved.remove(step)
    ctx.unsaved_artifacts[:] = [item for item in ctx.unsaved_artifacts if item.step_id != step.pk]
    ctx.attempts[:] = [row for row in ctx.attempts if (row.step_id, row.number) != (step.pk, step.attempts)]
    step.attempts -= 1
    step.state, step.outcome, step.output, step.finished_at = StepState.PENDING, "", {}, None
    ctx.run.current_step = step.name
