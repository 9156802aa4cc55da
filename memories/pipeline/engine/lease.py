"""The lease that a worker holds on a run: taken by one conditional UPDATE, and the condition (fence) of every write.

Times are the application's clock. A clock that jumps forward makes a reclaim come early, which the fence makes
harmless; one that jumps back makes leases reach into the future: those have run out too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

from django.conf import settings
from django.db.models import F, Q

from memories.pipeline.engine import transitions
from memories.pipeline.engine.processes import lives, machine, worker_name
from memories.pipeline.engine.results import LeaseLost, RunCanceled
from memories.pipeline.engine.retry_policy import RETRY_AFTER_LIMIT
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from omi.core import clock

__all__ = ["lives", "machine", "worker_name"]

LONGEST_WAIT: Final = timedelta(seconds=RETRY_AFTER_LIMIT + 60)
"""No step waits longer than this."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One worker's hold of one run. ``previous``: the state it was claimed from; RUNNING means that its last worker,
    ``lost_owner``, abandoned it."""

    run_id: int
    owner: str
    fence: int
    claimed_at: datetime
    previous: State
    lost_owner: str = ""

    def condition(self) -> Q:
        """The condition that every write of this worker carries."""
        return Q(pk=self.run_id, state=State.RUNNING, fence=self.fence, lease_owner=self.owner)


def lease_time() -> timedelta:
    """Return for how long a lease holds without being renewed (``OMI_LEASE_SECONDS``)."""
    return timedelta(seconds=settings.OMI_LEASE_SECONDS)


def lapsed(now: datetime) -> Q:
    """Select the runs that are running under a lease that ran out, or that reaches further than any can: the clock was
    put back since."""
    return Q(state=State.RUNNING) & (Q(lease_until__lt=now) | Q(lease_until__gt=now + 2 * lease_time()))


def claimable(now: datetime, *, since: timedelta | None = None) -> Q:
    """Select the runs that a worker may take: queued and not behind another one, waiting and due, or with a lapsed
    lease.

    ``since``: only those that are queued or due for so long already. A due time that lies further ahead than any step
    waits was set before the clock was put back.
    """
    queued, due = Q(state=State.QUEUED, blocked=False), now - (since or timedelta())
    if since is not None:
        queued &= Q(created_at__lt=due)
    return (
        queued
        | Q(state=State.WAITING, due_at__lte=due)
        | Q(state=State.WAITING, due_at__gt=now + LONGEST_WAIT)
        | lapsed(now)
    )


def claim(run: PostProcessingRun, *, owner: str | None = None) -> Lease | None:
    """Take ``run`` (as just read) or return None: not due, finished, somebody else's, canceled, or out of claims.

    One conditional UPDATE decides: it misses where somebody was faster. The claim is counted in it, before any work, so
    that work which kills its worker is counted too. ``run`` is brought up to date in memory.
    """
    now = clock.now()
    owner = owner or worker_name()
    previous, abandoned_by = State(run.state), run.lease_owner
    values = {
        "lease_owner": owner, "lease_until": now + lease_time(), "heartbeat_at": now, "step_started_at": now,
        "started_at": run.started_at or now, "fence": run.fence + 1, "claims": run.claims + 1,
        "total_claims": run.total_claims + 1,
    }  # fmt: skip
    as_read = Q(state=previous, fence=run.fence, claims=run.claims, claims__lt=F("max_claims"), cancel_requested=False)
    if not transitions.change(run.pk, State.RUNNING, when=as_read & claimable(now), **values):
        return None
    for name, value in values.items():
        setattr(run, name, value)
    run.state, run.due_at = State.RUNNING, None
    return Lease(run.pk, owner, run.fence, now, previous, abandoned_by)


def write(lease: Lease, **fields: Any) -> None:
    """Write fields of the run as its holder; renews the lease. Raises LeaseLost or RunCanceled.

    First in every transaction that stores something of the run: an UPDATE locks the row, so that a reclaim, a cancel
    or an erasure comes before all of the transaction or after all of it. A look (``check``) locks nothing.
    """
    now = clock.now()
    values = {"lease_until": now + lease_time(), "heartbeat_at": now, **fields}
    if not PostProcessingRun.objects.filter(lease.condition(), cancel_requested=False).update(**values):
        refuse(lease)


def change(lease: Lease, to: State, **fields: Any) -> None:
    """Move the run on as its holder. Raises LeaseLost or, unless it is to be finished, RunCanceled."""
    when = lease.condition()
    if to is not State.FINISHED:
        when &= Q(cancel_requested=False)
    if not transitions.change(lease.run_id, to, when=when, **fields):
        refuse(lease)


def check(lease: Lease) -> None:
    """Make sure that this worker still has the run; raises LeaseLost, or RunCanceled where an end was asked for."""
    if not PostProcessingRun.objects.filter(lease.condition(), cancel_requested=False).exists():
        refuse(lease)


def hold(lease: Lease) -> None:
    """Lock the run's row for this worker, where it is too late to cancel; raises LeaseLost where it no longer has the
    run.

    As ``write`` does, it locks the row until the surrounding transaction ends: an erasure, which ends the run first,
    comes before all of that transaction, or finds what it wrote.
    """
    if not PostProcessingRun.objects.filter(lease.condition()).update(heartbeat_at=clock.now()):
        raise LeaseLost


def holds(lease: Lease) -> bool:
    """Whether this worker still has the run, canceled or not."""
    return PostProcessingRun.objects.filter(lease.condition()).exists()


def refuse(lease: Lease) -> NoReturn:
    """Raise why a fenced write was refused: RunCanceled while this worker still holds the lease, else LeaseLost."""
    if holds(lease):
        raise RunCanceled
    raise LeaseLost
