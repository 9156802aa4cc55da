"""The one door to vendors: every remote call of a step goes through ``ask``, and no worker waits long for its answer.

The call runs in a thread of the worker's process (``call_threads``). An answer within ``OMI_CALL_PATIENCE_SECONDS`` is
given back as if there were no thread. Else the run is put down (``AnswersLater``), the worker takes the next one, and
the thread stores what comes (``late_answers``). The step runs again then, asks the same, and is given the answer.

Local engines are called by the worker itself. So is everything within a transaction: a thread would not see it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from django.conf import settings
from django.db import connection
from pydantic import TypeAdapter

from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import AnswersLater, LeaseLost, RunCanceled, StepError, Wait
from memories.pipeline.vendor_calls import executor, ledger, pending_calls
from memories.pipeline.vendor_calls.partial_results import KeptParts
from omi.core.errors import ProviderError
from omi.core.paid_parts import PaidParts

T = TypeVar("T")

Made = Callable[[ledger.Entry, PaidParts], T]
"""The call itself: without database work, for it may run in a thread. Tells the entry what it cost."""

TURN: Final = 2.0
"""Seconds, about, that a run is put down for while its worker has as many calls out as it may have."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """What is asked, and of whom.

    ``request`` is what makes two calls the same, ``pays`` False where they may be repeated freely (``ledger.begin``).
    ``form`` is the answer's shape. ``limit``: seconds that the vendor is given, for each part of the answer.
    ``accept`` is done with an answer before its row in the ledger is completed; it may raise LeaseLost or RunCanceled.
    ``unwanted`` is done, in a thread, with an answer that came when nobody wanted it any more.
    """

    vendor: str
    operation: str
    request: object
    form: TypeAdapter[T]
    remote: bool
    limit: float
    pays: bool = True
    accept: Callable[[T], None] | None = None
    unwanted: Callable[[T], None] | None = None

    @staticmethod
    def expected(error: BaseException) -> bool:
        return isinstance(error, ProviderError | LeaseLost | RunCanceled)


def ask(
    ctx: Context, question: Question[T], prepare: Callable[[], Made[T]], checkpoint: dict[str, Any] | None = None
) -> T:
    """The answer. Raises what the call raises, and AnswersLater.

    ``prepare`` is called where the vendor is really asked now, by the worker: it gets ready what the call needs (a
    file) and gives back the call. ``checkpoint`` is the step's, where it has a copy at work.
    """
    if checkpoint is None:
        checkpoint = ctx.step.checkpoint
    begin = _begin(ctx, question)
    if not question.remote or connection.in_atomic_block:
        made = prepare()
        begun = begin()
        try:
            answer = made(begun.entry, KeptParts(ctx, begun.entry))
        except BaseException as error:
            begun.ended(error)
            raise
        return _accepted(ctx, question, begun, answer)
    lost = 0
    if "call" in checkpoint:
        found, lost = _late(ctx, question, checkpoint)
        if found is not None:
            late: T = question.form.validate_python(found["answer"])
            if question.accept is not None:
                question.accept(late)
            return late
    if not executor.room():
        wait = Wait(TURN * random.uniform(0.5, 1.5), dict(checkpoint), f"{question.vendor}: asked when it is its turn")
        raise AnswersLater(wait)
    made = prepare()
    begun = begin()
    call = executor.Call(ctx, question, begun, made, lost)
    call.start()
    if not call.wait(settings.OMI_CALL_PATIENCE_SECONDS):
        raise _later(call.out, checkpoint)
    if call.error is not None:
        begun.ended(call.error)
        raise call.error
    answer = call.answer  # type: ignore[assignment]
    return _accepted(ctx, question, begun, answer)


def _begin(ctx: Context, question: Question[Any]) -> Callable[[], ledger.Begun]:
    return lambda: ledger.begin(
        ctx, question.vendor, question.operation, remote=question.remote, request=question.request, pays=question.pays
    )


def _accepted(ctx: Context, question: Question[T], begun: ledger.Begun, answer: T) -> T:
    begun.ended(result_of=ctx)  # its row is written with what ``accept`` stores
    if question.accept is not None:
        question.accept(answer)
    return answer


def _late(ctx: Context, question: Question[T], checkpoint: dict[str, Any]) -> tuple[dict[str, Any] | None, int]:
    """What came of the call that the checkpoint names, and how many were lost. Raises AnswersLater while it is out.

    The checkpoint names an answer until the step's result, or the ticket that it was, is stored (``settled``): a worker
    that dies or finds no database in between takes it again. An error is over with the write that counts it.
    """
    ctx.has_parts = True  # goes with the step's result
    out = pending_calls.of(checkpoint) or pending_calls.Out()
    if not out.id or out.key != ledger.key(ctx, question.vendor, question.operation, question.request):
        return None, out.lost
    lives = pending_calls.owner_lives(out)  # asked first: a process stores its answers before it ends
    try:
        found = pending_calls.take(ctx.step, out)
    except (ProviderError, pending_calls.CallCrashed):
        settled(checkpoint)
        raise
    if found is not None:
        return found, out.lost
    if lives and out.left() > 0:
        raise _later(out, checkpoint)
    ctx.log.warning("call_lost", vendor=out.vendor, lost=out.lost + 1)
    checkpoint["call"] = pending_calls.Out(lost=out.lost + 1).model_dump()
    if out.lost + 1 > 2 * ctx.run.max_claims:  # twice: a run that kills its worker takes the calls of others along
        raise StepError("worker_died", f"{out.lost + 1} calls to {out.vendor} were lost with their process")
    return None, out.lost + 1


def settled(checkpoint: dict[str, Any]) -> None:
    """The call that ``checkpoint`` names is over once this is stored; how many were lost stays known until the step
    ends."""
    out = pending_calls.of(checkpoint)
    if out is not None:
        checkpoint["call"] = pending_calls.Out(lost=out.lost).model_dump()


def _later(out: pending_calls.Out, checkpoint: dict[str, Any]) -> AnswersLater:
    named = {**checkpoint, "call": out.model_dump()}
    return AnswersLater(Wait(pending_calls.pause(out), named, f"{out.vendor}: asked, answers later"))


def look_again(ctx: Context, wait: Wait) -> None:
    """After a run was put down: an answer that came just before found nobody to wake."""
    from memories.pipeline import recovery

    out = pending_calls.of(wait.checkpoint)
    if out is not None and out.id and pending_calls.there(ctx, out.id):
        recovery.wake_early(ctx.run.pk)


def aside(what: Callable[[], object]) -> None:
    """Tell a vendor something that nobody waits for (stop a job, forget it): a few seconds of the worker at most."""
    if connection.in_atomic_block:
        what()
    else:
        executor.aside(what, settings.OMI_CALL_PATIENCE_SECONDS)
