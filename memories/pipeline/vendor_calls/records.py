"""The life of one call to a vendor, as its row tells it (``VendorCall``).

The row is written before the call. While its process may still bring an answer the call is pending; an answer that
comes after the run was suspended is kept in the row until the step has used it. A row whose process died, or whose
deadline passed, is of a call whose end nobody saw: the next call with the same request is a duplicate.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any, Final

import structlog
from django.db import Error, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from memories.pipeline import budgets
from memories.pipeline.engine import content_hash, fault_injection, lease, queue, transitions
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import LeaseLost, RunCanceled
from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.pipeline.states import State, StepState
from memories.pipeline.vendor_calls import circuit_breaker, in_flight, patience
from omi.accounts.erased import erased_since
from omi.core import traces
from omi.core.errors import ErrorKind, Outcome, ProviderError, StoreError
from transcription.vendors.batch.base import JobLost

log = structlog.get_logger(__name__)

OPEN: Final = ~Q(owner="") | Q(answer__isnull=False)
"""Calls that are pending, or whose answer has not been used."""

_ENDED_WELL: Final = ("", Outcome.SUCCESS, Outcome.EXPECTED_SILENCE)


class CallCrashed(Exception):
    """A call ended by a fault of ours; the traceback is in the log of the process that made it."""


# --- before the answer ---


def key(ctx: Context, vendor: str, operation: str, request: object) -> str:
    """The hash that the same request about the same memory has each time."""
    return content_hash.of([ctx.uid, ctx.memory_id, vendor, operation, request])


def of_request(request_key: str) -> list[VendorCall]:
    """Return all calls with this request, newest first."""
    return list(VendorCall.objects.filter(request_key=request_key).order_by("-id"))


def open_among(calls: Sequence[VendorCall], ctx: Context) -> VendorCall | None:
    """The call of the step at work that has an unused answer, else the newest one that is pending."""
    mine = [call for call in calls if (call.run_id, call.step) == (ctx.run.pk, ctx.run.current_step)]
    answered = [call for call in mine if call.answer is not None]
    return next(iter(answered or [call for call in mine if call.owner]), None)


def of_step(run: PostProcessingRun, step: str) -> VendorCall | None:
    """The call that the step waits for, or whose answer it has not used; the newest one."""
    return VendorCall.objects.filter(OPEN, run=run, step=step).order_by("-id").first()


def begin(
    ctx: Context, vendor: str, operation: str, request_key: str, *, limit: float, earlier: Sequence[VendorCall] = ()
) -> VendorCall:
    """Write the row of a remote call that is about to be made. Raises LeaseLost or RunCanceled: nobody is paid for a
    run that another worker has, or that was canceled."""
    call = unstored(ctx, vendor, operation, request_key)
    call.owner, call.limit, call.deadline = lease.worker_name(), limit, _deadline(limit)
    call.duplicate = call.paid and any(item.possibly_billed or item.outcome in _ENDED_WELL for item in earlier)
    with transaction.atomic():
        lease.write(ctx.lease)
        call.save(force_insert=True)
        if call.paid:
            budgets.paid(ctx.uid)
    if call.paid:
        ctx.paid += 1
        fault_injection.point(f"call-{operation}-before")
    if call.duplicate:
        ctx.log.warning("duplicate_vendor_call", vendor=vendor, operation=operation, step=call.step)
    return call


def unstored(ctx: Context, vendor: str, operation: str, request_key: str) -> VendorCall:
    """The record of a call that has no row (yet): an engine on this machine gets one when it has answered."""
    return VendorCall(
        run=ctx.run, step=ctx.run.current_step, fence=ctx.lease.fence, vendor=vendor, operation=operation,
        request_key=request_key, started_at=timezone.now(),
    )  # fmt: skip


def _deadline(limit: float) -> datetime:
    return timezone.now() + timedelta(seconds=limit + patience.MARGIN)


def seconds_left(call: VendorCall) -> float:
    """Seconds until the deadline. A clock that was put back makes no call last longer than it may."""
    if call.deadline is None:
        return 0.0
    return min((call.deadline - timezone.now()).total_seconds(), call.limit + patience.MARGIN)


def pause(call: VendorCall) -> float:
    """Seconds until a run that waits for this call looks again by itself."""
    return min(max(0.0, seconds_left(call)), patience.LOOK_AGAIN) + 1.0


def process_lives(call: VendorCall) -> bool:
    """Whether the process that made the call may still bring an answer."""
    if call.owner.startswith(f"{lease.machine()}:{os.getpid()}:"):
        return in_flight.contains(call.pk)
    return bool(call.owner) and lease.lives(call.owner)


def give_up(call: VendorCall) -> None:
    """Note that nothing is expected of the call any more."""
    call.owner = ""
    VendorCall.objects.filter(pk=call.pk).update(owner="")


def lost_among(calls: Sequence[VendorCall], ctx: Context) -> int:
    """How many calls of the step at work were lost with their process."""
    mine = [call for call in calls if (call.run_id, call.step) == (ctx.run.pk, ctx.run.current_step)]
    return sum(call.outcome == "" and not call.owner and call.answer is None for call in mine)


# --- the answer ---


def end(call: VendorCall, began: float, error: BaseException | None, *, remote: bool = True) -> None:
    """Fill in how the call ended (``began``: of ``perf_counter``). The caller writes the row."""
    call.owner, call.reference = "", call.reference[:128]
    if call.paid or error is not None:  # the row of a poll that was answered goes again: no figure may rest on it
        call.latency = perf_counter() - began
    if error is None and call.paid:
        if call.run_id is not None:
            fault_injection.point(f"call-{call.operation}-after")
        call.outcome = Outcome.SUCCESS
    elif isinstance(error, LeaseLost | RunCanceled):
        # Nobody waits for the answer any more. A job that the vendor had accepted was a success for its bill.
        call.outcome = Outcome.SUCCESS if call.reference else Outcome.CANCELED
    elif isinstance(error, ProviderError):
        call.outcome, call.error_kind, call.error_code = error.outcome, error.kind.value, error.code[:64]
        call.possibly_billed = error.possibly_billed and remote


def tell_breaker(call: VendorCall, error: BaseException | None, *, recently_failed: bool) -> None:
    """A success closes the vendor's breaker, a failure counts. That is less than the answer: a database that is away
    now must not cost what was paid for."""
    try:
        with transaction.atomic():
            if error is None and recently_failed:
                circuit_breaker.succeeded(call.vendor)
            elif isinstance(error, ProviderError):
                circuit_breaker.failed(error)
    except Error as problem:
        log.warning("breaker_not_updated", vendor=call.vendor, error=type(problem).__name__)


def store_late(call: VendorCall, answer: Any, error: BaseException | None) -> bool:
    """Write the end of a pending call and keep its answer (JSON) or error. False where nobody wants it any more."""
    with transaction.atomic():
        wanted = _wanted(call)
        kept = {"answer": answer} if error is None else _packed(error)
        call.answer = content_hash.pack(kept)[1] if wanted else None
        call.store_end()
    return wanted


def renew(call: VendorCall) -> None:
    """Begin a transaction of a pending call: a part of its answer came, so that it has its whole time again. The run of
    an optional step looks at it when the step's deadline has passed all the same.

    Raises RunCanceled where nobody wants it any more.
    """
    if not _wanted(call):
        raise RunCanceled
    call.deadline = _deadline(call.limit)
    VendorCall.objects.filter(pk=call.pk).update(deadline=call.deadline)
    due_at = timezone.now() + timedelta(seconds=pause(call))
    deadline = RunStep.objects.filter(run=call.run_id, name=call.step).values_list("deadline_at", flat=True).first()
    if deadline is not None:
        due_at = min(due_at, max(deadline, timezone.now()) + timedelta(seconds=1))
    _run(call).filter(state=State.WAITING).update(due_at=due_at)


def _wanted(call: VendorCall) -> bool:
    """Locks the run's row: a cancel, a deletion or an erasure comes before all of this, or after all of it."""
    alive = _run(call).filter(cancel_requested=False).exclude(state=State.FINISHED)
    if not alive.update(heartbeat_at=timezone.now()):
        return False
    at_work = RunStep.objects.filter(run=call.run_id, name=call.step)
    return at_work.filter(state__in=[StepState.PENDING, StepState.WAITING]).exists()


def _run(call: VendorCall) -> QuerySet[PostProcessingRun]:
    return PostProcessingRun.objects.filter(Q(pk=call.run_id))


def is_answered(call_id: int) -> bool:
    """Whether the answer of a call that was pending has come, and was not used yet."""
    return VendorCall.objects.filter(pk=call_id, answer__isnull=False).exists()


def unpack(call: VendorCall) -> Any:
    """The late answer (JSON). Raises the call's error as if it had just failed."""
    kept = content_hash.unpack(bytes(call.answer or b""))
    if "crashed" in kept:
        raise CallCrashed(kept["crashed"])
    if "error" in kept:
        raise _error(kept["error"])
    return kept["answer"]


def late_tickets(run: PostProcessingRun, step: str) -> list[dict[str, Any]]:
    """The tickets of jobs whose submission was answered late, and that no worker has seen yet."""
    answered = VendorCall.objects.filter(run=run, step=step, answer__isnull=False)
    answers = [content_hash.unpack(bytes(call.answer or b"")).get("answer") for call in answered]
    return [answer["ticket"] for answer in answers if isinstance(answer, dict) and answer.get("ticket")]


# --- its error ---

_CLASSES: Final[dict[str, type[ProviderError]]] = {"JobLost": JobLost, "StoreError": StoreError}


def _packed(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, ProviderError):
        return {"crashed": type(error).__name__}
    return {
        "error": {
            "class": type(error).__name__, "vendor": error.vendor, "message": error.message, "kind": error.kind.value,
            "code": error.code, "retry_after": error.retry_after, "outcome": error.outcome.value,
            "at": timezone.now().timestamp(),
        }
    }  # fmt: skip


def _error(kept: dict[str, Any]) -> ProviderError:
    """The pipeline tells these classes apart; of others it reads the fields."""
    asked = kept["retry_after"]
    if asked is not None:  # from when the vendor said so
        asked = max(0.0, asked - max(0.0, timezone.now().timestamp() - kept["at"]))
    return _CLASSES.get(kept["class"], ProviderError)(
        kept["vendor"], kept["message"], kind=ErrorKind(kept["kind"]), code=kept["code"], retry_after=asked,
        outcome=Outcome(kept["outcome"]),
    )  # fmt: skip


# --- calls that nobody carries to their end ---


def settle(ctx: Context) -> None:
    """Write how calls ended that were answered while their worker lost the run: the vendor bills them all the same."""
    for call in ctx.calls:
        if call.stored:
            call.store_end()
    ctx.calls.clear()


def release_lost() -> int:
    """Make the runs due that wait for a call of a process of this machine that is gone; how many."""
    freed = 0
    # By way of the waiting runs, which are few and have an index.
    of_machine = VendorCall.objects.filter(run__state=State.WAITING, owner__startswith=f"{lease.machine()}:")
    for call in of_machine.defer("answer").select_related("run"):
        if call.run is None or process_lives(call):
            continue
        with transaction.atomic():
            if transitions.change(call.run.pk, State.QUEUED, when=Q(state=State.WAITING), task_sent_at=timezone.now()):
                VendorCall.objects.filter(pk=call.pk, owner=call.owner).update(owner="")
                queue.wake_on_commit(call.run.pk)
                freed += 1
    return freed


@contextmanager
def outside(uid: str, vendor: str, operation: str, *, remote: bool) -> Iterator[VendorCall]:
    """Around a call that belongs to no run. One INSERT after it; nothing for an engine on this machine.

    The bill stays where the account is erased while the vendor answers; whose it was does not.
    """
    began = perf_counter()
    call = VendorCall(uid=uid, step="", fence=0, vendor=vendor, operation=operation, started_at=timezone.now())
    failed: ProviderError | None = None
    try:
        with traces.span("vendor", vendor=vendor, operation=operation):
            yield call
    except ProviderError as error:
        failed = error
        raise
    finally:
        if remote:
            end(call, began, failed)
            with transaction.atomic():
                if erased_since(uid, call.started_at):
                    call.uid = ""
                call.save(force_insert=True)


class MadeBefore(Exception):
    """The call is not made, since the same request was made before and may be on the bill."""


@contextmanager
def once(uid: str, vendor: str, operation: str, request_key: str) -> Iterator[VendorCall]:
    """Around a paid call that belongs to no run and is made once, whatever becomes of its answer: its row is there
    before it, so that after a kill it is known that the vendor may have been paid.

    Raises MadeBefore; BudgetSpent, where the user has had the day's paid calls; ProviderError, while the breaker is
    open. An UPDATE writes the end: where the account was erased meanwhile nothing comes back.
    """
    budgets.spend(uid)
    recently_failed = circuit_breaker.admit(vendor)
    call = VendorCall(
        uid=uid, step="", fence=0, vendor=vendor, operation=operation, request_key=request_key,
        started_at=timezone.now(),
    )  # fmt: skip
    with transaction.atomic():
        if any(item.possibly_billed or item.outcome in _ENDED_WELL for item in of_request(request_key)):
            raise MadeBefore
        call.save(force_insert=True)
        budgets.paid(uid)
    began = perf_counter()
    try:
        with traces.span("vendor", vendor=vendor, operation=operation):
            yield call
    except ProviderError as error:
        end(call, began, error)
        tell_breaker(call, error, recently_failed=recently_failed)
        call.store_end()
        raise
    end(call, began, None)
    tell_breaker(call, None, recently_failed=recently_failed)
    call.store_end()
