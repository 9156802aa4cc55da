"""The ledger: every vendor call as a row, written before the call so that a crash in between shows.

A doubled call is one whose request had been sent before and had succeeded, whose end nobody saw, or which the vendor
may have done though nothing usable came of it. The gap between
"the vendor accepted" and "its id is stored" cannot be closed where the vendor takes no idempotency key: the ledger
counts what falls into it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import structlog
from django.db import Error, connection, transaction
from django.utils import timezone

from memories.pipeline import budgets
from memories.pipeline.engine import content_hash, durable, fault_injection, lease, unsaved
from memories.pipeline.engine.context import Context
from memories.pipeline.engine.results import LeaseLost, RunCanceled
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.vendor_calls import circuit_breaker
from omi.accounts.erased import erased_since
from omi.core import rows
from omi.core.errors import Outcome, ProviderError

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Entry:
    """What the caller tells of its call. ``reference`` is the vendor's own id of the job."""

    outcome: Outcome = Outcome.SUCCESS
    reference: str = ""
    audio_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0


class Begun:
    """A call whose row is written. Whoever sees its end says so once with ``ended``."""

    def __init__(self, row: VendorCall, *, remote: bool, pays: bool, ailing: bool) -> None:
        self.entry = Entry()
        self.key = row.request_key
        self._row, self._remote, self._pays, self._ailing = row, remote, pays, ailing
        self._began = time.perf_counter()
        fault_injection.point(f"call-{row.operation}-before")

    def ended(self, error: BaseException | None = None, *, result_of: Context | None = None) -> None:
        """Complete the row and tell the breaker. An error beyond the contract leaves a call whose end nobody saw.

        ``result_of``: the worker that has the answer and is about to store it: the row is written along (``unsaved``).
        """
        row, entry = self._row, self.entry
        if error is None:
            fault_injection.point(f"call-{row.operation}-after")
            row.outcome = entry.outcome
            if result_of is not None and self._pays and self._remote:
                _fill(row, entry, self._began)
                result_of.unsaved_calls.append(row)
            elif self._pays:
                self._close()
            if self._ailing:
                _recovered(row.vendor)
        elif isinstance(error, LeaseLost | RunCanceled):
            # Nobody waits for the answer any more. A job that the vendor had taken was a success for its bill.
            row.outcome = Outcome.SUCCESS if entry.reference else Outcome.CANCELED
            self._close()
        elif isinstance(error, ProviderError):
            row.outcome, row.error_kind, row.error_code = error.outcome, error.kind.value, error.code[:64]
            row.taken = error.taken and self._remote
            self._close()
            if self._remote:
                circuit_breaker.failed(error)

    def _close(self) -> None:
        _close(self._row, self.entry, self._began, stored=self._remote and self._pays)


def begin(ctx: Context, vendor: str, operation: str, *, remote: bool, request: object, pays: bool = True) -> Begun:
    """Pass the breaker and write the row of one call. Raises LeaseLost, RunCanceled, or ProviderError (breaker).

    ``request`` is what makes two calls the same (hashed, with vendor and operation). ``pays`` False for calls that
    may be repeated freely (polling): they are not kept, unless they fail, and never count as doubled. The breaker lets
    them pass: a job that was paid for is fetched though nothing new is bought from its vendor now.
    """
    row = VendorCall(
        run=ctx.run, step=ctx.run.current_step, fence=ctx.lease.fence, vendor=vendor, operation=operation,
        request_key=key(ctx, vendor, operation, request), started_at=timezone.now(),
    )  # fmt: skip
    ailing = False
    if pays and ctx.unsaved:
        with transaction.atomic():
            unsaved.begin(ctx)
            ailing = _open(ctx, row, remote=remote, pays=pays)
        unsaved.forget(ctx)
    else:
        ailing = _open(ctx, row, remote=remote, pays=pays)
    if remote and pays:
        ctx.paid += 1
        if row.doubled:
            ctx.log.warning("vendor_call_doubled", vendor=vendor, operation=operation, step=row.step)
    return Begun(row, remote=remote, pays=pays, ailing=ailing)


def key(ctx: Context, vendor: str, operation: str, request: object) -> str:
    """The same for the same request about the same memory."""
    return content_hash.of([ctx.uid, ctx.memory_id, vendor, operation, request])


@contextmanager
def outside(uid: str, vendor: str, operation: str, *, remote: bool) -> Iterator[Entry]:
    """Around a call that belongs to no run. One INSERT after it; nothing for an engine on this machine.

    The bill stays where the account is erased while the vendor answers; whose it was does not.
    """
    entry, outcome, kind, code = Entry(), Outcome.SUCCESS, "", ""
    began, started_at = time.perf_counter(), timezone.now()
    try:
        yield entry
    except ProviderError as error:
        outcome, kind, code = error.outcome, error.kind.value, error.code[:64]
        raise
    finally:
        if remote:
            row = VendorCall(
                uid=uid, step="", fence=0, vendor=vendor, operation=operation, request_key="", started_at=started_at,
                outcome=outcome, error_kind=kind, error_code=code,
            )  # fmt: skip
            _fill(row, entry, began)
            with transaction.atomic():
                if erased_since(uid, started_at):
                    row.uid = ""
                rows.insert([row])


def _recovered(vendor: str) -> None:
    """The breaker is told. That is less than the answer: a database that is away now must not cost what was paid."""
    try:
        with transaction.atomic():
            circuit_breaker.succeeded(vendor)
    except Error as error:
        log.warning("breaker_not_told", vendor=vendor, error=type(error).__name__)


def settle(ctx: Context) -> None:
    """What was answered while the run was lost: the vendor bills it all the same."""
    for row in ctx.unsaved_calls:
        durable.write(partial(unsaved.end_call, row))
    ctx.unsaved_calls.clear()


def _open(ctx: Context, row: VendorCall, *, remote: bool, pays: bool) -> bool:
    """Pass the breaker and write the row of a call that is paid for. Whether its vendor failed lately."""
    if not remote:
        return False
    row.doubled, ailing = _before(ctx, row, pays=pays)
    if pays:
        with transaction.atomic():
            rows.insert([row])
            budgets.paid(ctx.uid)
    return ailing


def _before(ctx: Context, row: VendorCall, *, pays: bool) -> tuple[bool, bool]:
    """Whether the call is a doubled one, and whether its vendor failed lately: one query, the fence in it.

    Nobody is paid for a run that another worker has (LeaseLost) or that was canceled (RunCanceled).
    """
    held = ctx.lease.values()
    with connection.cursor() as cursor:
        cursor.execute(_BEFORE, [row.request_key, row.vendor, *(held[name] for name in _HELD)])
        found = cursor.fetchone()
    if found is None:
        lease.refuse(ctx.lease)
    doubled, ailing = found
    return bool(doubled) and pays, bool(ailing) and pays and circuit_breaker.admit(row.vendor)


_HELD = ("id", "state", "fence", "lease_owner")
_BEFORE = """
SELECT EXISTS (SELECT 1 FROM pipeline_vendorcall
               WHERE request_key = %s AND (taken OR outcome IN ('', 'success', 'expected_silence'))),
       EXISTS (SELECT 1 FROM pipeline_vendorbreaker WHERE vendor = %s AND ("open" OR failures > 0))
FROM pipeline_postprocessingrun
WHERE id = %s AND state = %s AND fence = %s AND lease_owner = %s AND NOT cancel_requested
"""
"""As text: the ORM takes longer to write this than the database to answer it. It runs before every paid call."""


def _close(row: VendorCall, entry: Entry, began: float, *, stored: bool) -> None:
    _fill(row, entry, began)
    if stored:
        unsaved.end_call(row)
    elif rows.exists(PostProcessingRun, {"id": row.run_id}):
        rows.insert([row])


def _fill(row: VendorCall, entry: Entry, began: float) -> None:
    row.latency = time.perf_counter() - began
    row.reference = entry.reference[:128]
    row.audio_seconds, row.cost = entry.audio_seconds, entry.cost
    row.input_tokens, row.output_tokens = entry.input_tokens, entry.output_tokens
