"""The one door to vendors: every remote call of a step goes through ``ask``, and no worker waits long for its answer.

The call runs in a thread of the worker's process (``executor``). An answer within ``OMI_CALL_PATIENCE_SECONDS`` is
given back as if there were no thread. Else the run is suspended (``AnswersLater``), the worker takes the next one, and
the thread stores what comes in the call's row (``records``). The step runs again then, asks the same, and is given the
answer.

Local engines are called by the worker itself. So is everything within a transaction: a thread would not see it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from django.conf import settings
from django.db import connection

from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import AnswersLater, StepError, Wait
from memories.pipeline.models import VendorCall
from memories.pipeline.states import State
from memories.pipeline.vendor_calls import circuit_breaker, executor, patience, records
from memories.pipeline.vendor_calls.partial_results import StoredPartialResults
from memories.pipeline.vendor_calls.question import Made, Question

__all__ = ["Made", "Question", "ask", "fire_and_forget"]

T = TypeVar("T")


def ask(
    ctx: Context, question: Question[T], prepare: Callable[[], Made[T]], checkpoint: dict[str, Any] | None = None
) -> T:
    """The vendor's answer. Raises what the call raises, and AnswersLater.

    ``prepare`` is called where the vendor is really asked now, by the worker: it gets ready what the call needs (a
    file) and gives back the call. ``checkpoint`` is the step's, where it has a copy at work.
    """
    request_key = records.key(ctx, question.vendor, question.operation, question.request)
    if not question.remote:
        call = records.unstored(ctx, question.vendor, question.operation, request_key)
        return _ask_here(ctx, question, call, prepare())
    checkpoint = dict(ctx.step.checkpoint if checkpoint is None else checkpoint)
    earlier = records.of_request(request_key)
    pending = records.open_among(earlier, ctx)
    if pending is not None and _is_answered(ctx, pending, checkpoint):
        return _late_answer(ctx, question, pending)
    lost = records.lost_among(earlier, ctx)
    if lost > 2 * ctx.run.max_claims:  # twice: a run that kills its worker takes the calls of others along
        raise StepError("worker_died", f"{lost} calls to {question.vendor} were lost with their process")
    threaded = not connection.in_atomic_block
    if threaded and not executor.has_room():
        turn = patience.TURN * random.uniform(0.5, 1.5)
        raise AnswersLater(Wait(turn, checkpoint, f"{question.vendor}: asked when it is its turn"))
    made = prepare()
    recently_failed, call = _begin(ctx, question, request_key, earlier)
    if not threaded:
        return _ask_here(ctx, question, call, made, recently_failed=recently_failed)
    running = executor.Call(ctx, question, call, made, recently_failed=recently_failed)
    running.start()
    if not running.wait(settings.OMI_CALL_PATIENCE_SECONDS):
        raise _answers_later(call, checkpoint)
    return _ended(ctx, question, call, running.answer, running.error, recently_failed=recently_failed)


def _begin(
    ctx: Context, question: Question[Any], request_key: str, earlier: Sequence[VendorCall]
) -> tuple[bool, VendorCall]:
    """Pass the breaker and write the call's row. A job that was paid for is polled though its vendor's breaker is open:
    nothing new is bought from it then."""
    paid = question.operation != VendorCall.POLL
    recently_failed = paid and circuit_breaker.admit(question.vendor)
    return recently_failed, records.begin(
        ctx, question.vendor, question.operation, request_key, limit=question.limit, earlier=earlier
    )


def _ask_here(
    ctx: Context, question: Question[T], call: VendorCall, made: Made[T], *, recently_failed: bool = False
) -> T:
    began, answer, failure = time.perf_counter(), None, None
    try:
        with question.span(ctx.run.pk):
            answer = made(call, StoredPartialResults(ctx, call))
    except BaseException as error:
        failure = error
        if not isinstance(error, Exception):
            raise
    records.end(call, began, failure, remote=question.remote)
    return _ended(ctx, question, call, answer, failure, recently_failed=recently_failed)


def _ended(
    ctx: Context, question: Question[T], call: VendorCall, answer: T | None, error: BaseException | None, *,
    recently_failed: bool,
) -> T:  # fmt: skip
    """The call ended while the worker waited: its row is written with what follows from the answer."""
    if call.stored or call.outcome:  # a crash of an engine on this machine is no call
        ctx.calls.append(call)
    if question.remote:
        if call.paid or error is not None:
            ctx.log.info(
                "vendor_called", vendor=call.vendor, operation=call.operation, call=call.pk, reference=call.reference,
                outcome=call.outcome, seconds=round(call.latency or 0.0, 3),
            )  # fmt: skip
        records.tell_breaker(call, error, recently_failed=recently_failed)
    if error is not None:
        raise error
    if question.accept is not None:
        question.accept(answer)  # type: ignore[arg-type]
    return answer  # type: ignore[return-value]


def _is_answered(ctx: Context, call: VendorCall, checkpoint: dict[str, Any]) -> bool:
    """Whether an answer of the call is there; False where it was lost. Raises AnswersLater while it is pending."""
    if call.answer is not None:
        return True
    lives = records.process_lives(call)  # asked first: a process stores its answers before it ends
    if records.is_answered(call.pk):
        call.refresh_from_db()
        return True
    # A worker that was reclaimed while it asked has not suspended the run: its answer is refused with its other writes.
    abandoned = ctx.lease.previous is State.RUNNING and call.fence == ctx.lease.fence - 1
    if lives and not abandoned and records.seconds_left(call) > 0:
        raise _answers_later(call, checkpoint)
    ctx.log.warning("call_lost", vendor=call.vendor, call=call.pk)
    records.give_up(call)
    return False


def _late_answer(ctx: Context, question: Question[T], call: VendorCall) -> T:
    """The answer stays in the row until the step's result, or the ticket that it was, is stored: a worker that dies or
    finds no database in between takes it again. An error goes with the write that counts it."""
    ctx.answers.append(call)
    ctx.has_parts = True  # those that were kept on the way go with the step's result
    try:
        answer: T = question.form.validate_python(records.unpack(call))
    except Exception:
        ctx.use_answers()
        raise
    if question.accept is not None:
        question.accept(answer)
    return answer


def _answers_later(call: VendorCall, checkpoint: dict[str, Any]) -> AnswersLater:
    return AnswersLater(Wait(records.pause(call), checkpoint, f"{call.vendor}: asked, answers later"), call.pk)


def fire_and_forget(what: Callable[[], object]) -> None:
    """Tell a vendor something that nobody waits for (stop a job, forget it): a few seconds of the worker at most."""
    if connection.in_atomic_block:
        what()
    else:
        executor.fire_and_forget(what, settings.OMI_CALL_PATIENCE_SECONDS)
