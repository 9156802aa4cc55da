"""What is remembered of a call whose worker went on without its answer, and of the answer when it comes.

The step's checkpoint names the call (``Out``). Its answer, or its error, is kept beside the step's other large results
and goes with the step's end (``kept_parts.drop``). Nothing is kept for a run that has ended, was canceled or is gone.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from django.db import transaction
from django.utils import timezone
from pydantic import BaseModel, ValidationError

from memories.pipeline.engine import content_hash, lease, queue, retry_policy, transitions
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.plans import OPTIONAL
from memories.pipeline.engine.results import RunCanceled
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact
from memories.pipeline.states import State, StepState
from memories.pipeline.vendor_calls.partial_results import CALL
from omi.core import rows
from omi.core.errors import ErrorKind, Outcome, ProviderError, StoreError
from transcription.vendors.batch.base import JobLost

if TYPE_CHECKING:
    from memories.pipeline.vendor_calls.ledger import Begun

log = structlog.get_logger(__name__)

MARGIN: Final = 60.0
"""Seconds beyond a call's own limit in which its answer is waited for: connecting, sending, storing it."""

LONGEST: Final = 600.0
"""Seconds after which a waiting run looks again, whatever the deadline (a wake-up time must not lie further ahead than
``reconcile.LONGEST_WAIT``)."""


class Out(BaseModel):
    """A call that is out, under ``call`` in the step's checkpoint; without an id: there was one, it is over.

    ``owner`` is the ``claim.worker_name`` of who asked, "" once its process is known to be gone. ``until`` is when
    nothing can come any more (``limit`` seconds and the margin after the call, or its latest part, began). ``lost``
    counts the calls of this step whose process died.
    """

    id: str = ""
    key: str = ""
    vendor: str = ""
    owner: str = ""
    limit: float = 0.0
    until: float = 0.0
    lost: int = 0

    def renew(self) -> None:
        self.until = timezone.now().timestamp() + self.limit + MARGIN

    def left(self) -> float:
        """Seconds until the deadline. A clock that was put back makes no call last longer than it may."""
        return min(self.until - timezone.now().timestamp(), self.limit + MARGIN)


def of(checkpoint: dict[str, Any]) -> Out | None:
    """None also where what stands there is nothing that this version has written."""
    raw = checkpoint.get("call") if isinstance(checkpoint, dict) else None
    try:
        return None if raw is None else Out.model_validate(raw)
    except ValidationError:
        log.error("checkpoint_not_understood")
        return None


class CallCrashed(Exception):
    """A call ended by a fault of ours; the traceback is in the log of the process that made it."""


# --- the answer ---


def hand_in(ctx: Context, out: Out, begun: Begun, answer: Any, error: BaseException | None) -> bool:
    """Complete the ledger and keep the answer (JSON) or error. False where nobody wants it any more."""
    with transaction.atomic():
        wanted = _wanted(ctx)
        begun.ended(error)
        if wanted:
            sha, body = content_hash.pack({"answer": answer} if error is None else _error(error))
            kept = StepArtifact(step_id=ctx.steps[_step(ctx)].pk, name=_name(out.id), sha256=sha, body=body)
            rows.insert([kept], unique=("step", "name"))
    return wanted


def hold(ctx: Context, out: Out) -> None:
    """Begin a transaction of a call that is out: a part of its answer came, so that it has its whole time again, but
    for an optional step, whose run looks at it when its patience is over at the latest.

    Raises RunCanceled where nobody wants it any more.
    """
    if not _wanted(ctx):
        raise RunCanceled
    out.renew()
    step = RunStep.objects.get(pk=ctx.steps[_step(ctx)].pk)
    seconds = pause(out)
    if step.name in OPTIONAL and step.started_at is not None:
        left = retry_policy.patience_left(step.started_at, float(ctx.output("prepare_audio").get("seconds", 0.0)))
        seconds = min(seconds, max(0.0, left) + 1.0)
    later = timezone.now() + timedelta(seconds=seconds)
    if rows.update(PostProcessingRun, {"wake_at": later}, {"id": ctx.run.pk, "state": State.WAITING}):
        named = of(step.checkpoint)
        if named is not None and named.id == out.id:
            step.checkpoint["call"] = out.model_dump()
            step.save(update_fields=["checkpoint"])


def pause(out: Out) -> float:
    """Seconds until a run that waits for this call looks again by itself."""
    return min(max(0.0, out.left()), LONGEST) + 1.0


def there(ctx: Context, identity: str) -> bool:
    """Whether the answer of call ``identity`` of the step at work has come."""
    return rows.exists(StepArtifact, {"step": ctx.step.pk, "name": _name(identity)})


def take(step: RunStep, out: Out) -> dict[str, Any] | None:
    """``{"answer": JSON}``, or None while there is none. Raises the call's error as if it had just failed."""
    row = StepArtifact.objects.filter(step=step, name=_name(out.id)).first()
    if row is None:
        return None
    kept: dict[str, Any] = content_hash.unpack(bytes(row.body))
    if "crashed" in kept:
        raise CallCrashed(kept["crashed"])
    if "error" in kept:
        raise _raised(kept["error"])
    return kept


def ticket(step: RunStep) -> dict[str, Any] | None:
    """The ticket of a job whose submit was answered late, and which no worker has seen yet."""
    out = of(step.checkpoint)
    row = StepArtifact.objects.filter(step=step, name=_name(out.id)).first() if out is not None and out.id else None
    answer = content_hash.unpack(bytes(row.body)).get("answer") if row is not None else None
    found: dict[str, Any] | None = answer.get("ticket") if isinstance(answer, dict) else None
    return found


def _wanted(ctx: Context) -> bool:
    """Locks the run's row: a cancel, a deletion or an erasure comes before all of this, or after all of it."""
    alive = {"id": ctx.run.pk, "state__in": [State.QUEUED, State.RUNNING, State.WAITING], "cancel_requested": False}
    if not rows.update(PostProcessingRun, {"heartbeat_at": timezone.now()}, alive):
        return False
    return rows.exists(RunStep, {"id": ctx.steps[_step(ctx)].pk, "state__in": [StepState.PENDING, StepState.WAITING]})


def _step(ctx: Context) -> str:
    return ctx.run.current_step


def _name(identity: str) -> str:
    return f"{CALL}{identity}"


# --- its error ---

_KINDS: Final[dict[str, type[ProviderError]]] = {"JobLost": JobLost, "StoreError": StoreError}


def _error(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, ProviderError):
        return {"crashed": type(error).__name__}
    return {
        "error": {
            "class": type(error).__name__, "vendor": error.vendor, "message": error.message, "kind": error.kind.value,
            "code": error.code, "retry_after": error.retry_after, "outcome": error.outcome.value,
            "at": timezone.now().timestamp(),
        }
    }  # fmt: skip


def _raised(kept: dict[str, Any]) -> ProviderError:
    """The pipeline tells these classes apart; of others it reads the fields."""
    asked = kept["retry_after"]
    if asked is not None:  # from when the vendor said so
        asked = max(0.0, asked - max(0.0, timezone.now().timestamp() - kept["at"]))
    return _KINDS.get(kept["class"], ProviderError)(
        kept["vendor"], kept["message"], kind=ErrorKind(kept["kind"]), code=kept["code"], retry_after=asked,
        outcome=Outcome(kept["outcome"]),
    )  # fmt: skip


# --- processes that died ---


def free_lost() -> int:
    """Runs that wait for a call of a process of this machine that is gone are due now."""
    freed = 0
    waiting = RunStep.objects.filter(
        state=StepState.WAITING, run__state=State.WAITING, checkpoint__call__owner__startswith=f"{lease.machine()}:"
    )
    for step in waiting:
        out = of(step.checkpoint)
        if out is None or owner_lives(out):
            continue
        with transaction.atomic():
            if transitions.change(step.run_id, State.QUEUED, when={"state": State.WAITING}, woken_at=timezone.now()):
                step.checkpoint["call"] = out.model_copy(update={"owner": ""}).model_dump()
                step.save(update_fields=["checkpoint"])
                queue.wake_on_commit(step.run_id)
                freed += 1
    return freed


def owner_lives(out: Out) -> bool:
    """Whether the process that asked may still bring an answer."""
    from memories.pipeline.vendor_calls import executor

    if not out.owner:
        return False
    if out.owner.startswith(f"{lease.machine()}:{os.getpid()}:"):
        return executor.is_out(out.id)
    return lease.lives(out.owner)
