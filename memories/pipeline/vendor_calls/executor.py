"""The threads of a worker process in which vendors are called.

A call is *attached* while its worker waits for it: what it wants of the database is done by the worker then, on the
worker's connection and under its lease. It is *detached* once the worker went on with other work: it does its own
database work then, closes its connection each time, hands in what came of it, and makes the run due.

The threads are no daemons: a process that is told to stop ends when their answers are stored.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import Error, connections

from memories.pipeline.engine import lease
from memories.pipeline.engine.context import Context
from memories.pipeline.vendor_calls import pending_calls
from memories.pipeline.vendor_calls.partial_results import KeptParts

if TYPE_CHECKING:
    from memories.pipeline.vendor_calls.client import Question
    from memories.pipeline.vendor_calls.ledger import Begun, Entry

T = TypeVar("T")

log = structlog.get_logger(__name__)

HANDING_IN: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between the tries to store a late answer: it was paid for, and nobody is kept waiting."""

ASIDE: Final = 16
"""Things that are done aside at a time, in one process."""

_out: Final[dict[str, Call[Any]]] = {}
_aside = threading.BoundedSemaphore(ASIDE)


@cache
def _threads() -> ThreadPoolExecutor:
    """They are kept: starting one costs more than the rest. ``room`` is the bound; the process ends after them."""
    return ThreadPoolExecutor(max_workers=1000, thread_name_prefix="call")


os.register_at_fork(after_in_child=_out.clear)
os.register_at_fork(after_in_child=_threads.cache_clear)


def room() -> bool:
    """Whether this process may make another call."""
    return len(_out) < max(1, settings.OMI_CALLS_PER_WORKER)


def is_out(identity: str) -> bool:
    return identity in _out


def count() -> int:
    return len(_out)


class _Errand:
    """Something that the worker does for the call's thread."""

    def __init__(self, what: Callable[[], Any]) -> None:
        self._what = what
        self.over = False
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result = self._what()
        except BaseException as error:
            self._error = error
        self.over = True

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class Call(Generic[T]):
    """One call: ``start`` it, ``wait`` for it, and read ``answer`` or ``error`` where that said True."""

    def __init__(
        self, ctx: Context, question: Question[T], begun: Begun, function: Callable[[Entry, Any], T], lost: int
    ) -> None:
        self.answer: T | None = None
        self.error: BaseException | None = None
        self.out = pending_calls.Out(
            id=uuid4().hex[:24], key=begun.key, vendor=question.vendor, owner=lease.worker_name(),
            limit=question.limit, lost=lost,
        )  # fmt: skip
        self.out.renew()
        self._ctx, self._question, self._begun, self._function = ctx, question, begun, function
        self._parts = KeptParts(ctx, begun.entry, self._fence)
        self._turn = threading.Condition()
        self._attached, self._done = True, False
        self._errand: _Errand | None = None

    # --- the worker's side ---

    def start(self) -> None:
        self._ctx.hold()
        _out[self.out.id] = self
        try:
            _threads().submit(self._run, structlog.contextvars.get_contextvars())
        except RuntimeError:  # the system has no thread to give: nobody was asked
            del _out[self.out.id]
            self._ctx.close()
            raise

    def wait(self, seconds: float) -> bool:
        """Do the thread's errands until it has ended (True), for ``seconds`` at most. False: it is detached now."""
        until = time.monotonic() + seconds
        with self._turn:
            try:
                while True:
                    if self._errand is not None:
                        self._errand.run()
                        self._errand = None
                        self._turn.notify_all()
                    elif self._done:
                        return True
                    elif (left := until - time.monotonic()) > 0:
                        self._turn.wait(left)
                    else:
                        self._detach()
                        return False
            except BaseException:  # the worker is stopped from outside: the call goes its own way
                self._detach()
                raise

    def _detach(self) -> None:
        self._attached = False
        self._ctx.more_time = lambda: None  # the lease is another's, or nobody's

    # --- the thread's side ---

    def get(self, part: str) -> Any:
        return self._at_home(lambda: self._parts.get(part))

    def keep(self, part: str, answer: Any) -> None:
        self._at_home(lambda: self._parts.keep(part, answer))

    def spent(self, **figures: Any) -> None:
        self._parts.spent(**figures)

    def _fence(self) -> None:
        if self._attached:
            lease.write(self._ctx.lease, claims=1)
        else:
            pending_calls.hold(self._ctx, self.out)

    def _at_home(self, what: Callable[[], Any]) -> Any:
        """Database work: the worker's while it waits, else of this thread."""
        with self._turn:
            if self._attached:
                errand = self._errand = _Errand(what)
                self._turn.notify_all()
                while not errand.over:
                    self._turn.wait()
                return errand.result()
        try:
            return what()
        finally:
            connections.close_all()

    def _run(self, bound: dict[str, Any]) -> None:
        structlog.contextvars.clear_contextvars()  # of the thread's last call
        structlog.contextvars.bind_contextvars(**bound)
        try:
            try:
                self.answer = self._function(self._begun.entry, self)
            except BaseException as error:
                self.error = error
            with self._turn:
                self._done = True
                if attached := self._attached:
                    del _out[self.out.id]
                self._turn.notify_all()
            if not attached:
                self._hand_in()
        except Exception:  # nobody reads what a thread ends with; the run looks again at the deadline
            self._ctx.log.exception("late_answer_lost", vendor=self._question.vendor)
        finally:
            try:
                self._ctx.close()
            finally:
                _out.pop(self.out.id, None)

    def _hand_in(self) -> None:
        from memories.pipeline import recovery

        ctx, question, error = self._ctx, self._question, self.error
        what = {"vendor": question.vendor, "operation": question.operation}
        answer = None
        if error is None:
            try:
                answer = question.form.dump_python(self.answer, mode="json")  # type: ignore[arg-type]
            except Exception as problem:  # an adapter that breaks its promise about the answer's shape
                error = problem
        if error is not None and not question.expected(error):
            ctx.log.error("late_call_crashed", **what, exc_info=error)
        for pause in (*HANDING_IN, None):
            try:
                wanted = pending_calls.hand_in(ctx, self.out, self._begun, answer, error)
                if wanted:
                    recovery.wake_early(ctx.run.pk)
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


def aside(what: Callable[[], object], seconds: float) -> None:
    """Do something that nobody needs the result of, and whose failure it logs itself; wait ``seconds`` at most."""
    if not _aside.acquire(blocking=False):
        log.warning("not_done", reason="too much is done aside already")
        return

    def run() -> None:
        try:
            what()
        except Exception:
            log.exception("aside_failed")
        finally:
            connections.close_all()
            _aside.release()

    thread = threading.Thread(target=run, name="aside")  # a daemon where its starter is one
    thread.start()
    thread.join(seconds)
