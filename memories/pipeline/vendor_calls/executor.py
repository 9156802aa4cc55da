"""The threads of a worker process in which vendors are called.

A worker waits a few seconds for a call (``Call.wait``). A call that takes longer is *detached*: the worker goes on with
other work, and the thread stores what comes (``records.store_late``) and makes the run due. Whatever a thread does with
the database it does on a connection of its own, and closes it.

The threads are no daemons: a process that is told to stop ends when their answers are stored.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final, Generic, TypeVar

import structlog
from django.conf import settings
from django.db import Error, connections

from memories.pipeline.engine import queue
from memories.pipeline.engine.context import Context
from memories.pipeline.models import VendorCall
from memories.pipeline.vendor_calls import in_flight, records
from memories.pipeline.vendor_calls.partial_results import StoredPartialResults
from memories.pipeline.vendor_calls.question import Question
from omi.core import traces

T = TypeVar("T")

log = structlog.get_logger(__name__)

STORE_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between the tries to store a late answer: it was paid for, and nobody is kept waiting."""

FORGOTTEN: Final = 16
"""Things that are done without waiting for them at a time, in one process."""

_free = threading.BoundedSemaphore(FORGOTTEN)


@cache
def _threads() -> ThreadPoolExecutor:
    """They are kept: starting one costs more than the rest. ``has_room`` is the bound; the process ends after them."""
    return ThreadPoolExecutor(max_workers=1000, thread_name_prefix="call")


os.register_at_fork(after_in_child=_threads.cache_clear)


def has_room() -> bool:
    """Whether this process may make another call."""
    return in_flight.count() < max(1, settings.OMI_CALLS_PER_WORKER)


class Call(Generic[T]):
    """One call in a thread: ``start`` it, ``wait`` for it, and read ``answer`` or ``error`` where that said True."""

    def __init__(
        self, ctx: Context, question: Question[T], record: VendorCall, function: Callable[[VendorCall, Any], T], *,
        recently_failed: bool,
    ) -> None:  # fmt: skip
        self.answer: T | None = None
        self.error: BaseException | None = None
        self._ctx, self._question, self._record, self._function = ctx, question, record, function
        self._recently_failed = recently_failed
        self._changed = threading.Condition()
        self._attached, self._done = True, False

    def start(self) -> None:
        """Hand the call to a thread. Raises RuntimeError where the system has none to give: nobody was asked then."""
        self._ctx.hold()
        in_flight.add(self._record.pk)
        try:
            _threads().submit(self._run, structlog.contextvars.get_contextvars(), traces.handover())
        except RuntimeError:
            in_flight.remove(self._record.pk)
            self._ctx.close()
            raise

    def wait(self, seconds: float) -> bool:
        """Whether the call ended within ``seconds``. If not it is detached."""
        with self._changed:
            try:
                self._changed.wait_for(lambda: self._done, seconds)
            finally:  # also where the worker is stopped from outside: the call goes its own way then
                self._attached = self._done
            return self._done

    def _run(self, bound: dict[str, Any], trace: Any) -> None:
        structlog.contextvars.clear_contextvars()  # of the thread's last call
        structlog.contextvars.bind_contextvars(**bound)
        began = time.perf_counter()
        try:
            try:
                parts = StoredPartialResults(self._ctx, self._record, lambda: records.renew(self._record))
                with self._question.span(self._ctx.run.pk, trace):
                    self.answer = self._function(self._record, parts)
            except BaseException as error:
                self.error = error
            finally:
                connections.close_all()
            with self._changed:
                records.end(self._record, began, self.error)
                self._done = True
                self._changed.notify_all()
                if self._attached:
                    return
            self._store()
        except Exception:  # nobody reads what a thread ends with; the run looks again at the deadline
            self._ctx.log.exception("late_answer_lost", vendor=self._question.vendor)
        finally:
            in_flight.remove(self._record.pk)
            self._ctx.close()

    def _store(self) -> None:
        """Store a late answer, or the error, and make the run due."""
        ctx, question, record, error = self._ctx, self._question, self._record, self.error
        what = {"vendor": question.vendor, "operation": question.operation, "call": record.pk}
        answer = None
        if error is None:
            try:
                answer = question.form.dump_python(self.answer, mode="json")  # type: ignore[arg-type]
            except Exception as problem:  # an adapter that breaks its promise about the answer's shape
                error = problem
        if error is not None and not question.expected(error):
            ctx.log.error("late_call_crashed", **what, exc_info=error)
        for pause in (*STORE_PAUSES, None):
            try:
                wanted = records.store_late(record, answer, error)
                records.tell_breaker(record, error, recently_failed=self._recently_failed)
                if wanted:
                    queue.resume_now(ctx.run.pk)
                break
            except Error as problem:
                ctx.log.warning("late_answer_not_stored", **what, error=type(problem).__name__, seconds=pause)
                if pause is None:
                    return
                connections.close_all()
                time.sleep(pause)
            finally:
                connections.close_all()
        ctx.log.info("late_answer", **what, wanted=wanted, failed=error is not None)
        if not wanted and error is None and question.unwanted is not None:
            question.unwanted(self.answer)  # type: ignore[arg-type]


def fire_and_forget(what: Callable[[], object], seconds: float) -> None:
    """Do something that nobody needs the result of, and whose failure it logs itself; wait ``seconds`` at most."""
    if not _free.acquire(blocking=False):
        log.warning("not_done", reason="too many such things are under way")
        return

    def run() -> None:
        try:
            what()
        except Exception:
            log.exception("fire_and_forget_failed")
        finally:
            connections.close_all()
            _free.release()

    thread = threading.Thread(target=run, name="fire-and-forget")  # a daemon where its starter is one
    thread.start()
    thread.join(seconds)
