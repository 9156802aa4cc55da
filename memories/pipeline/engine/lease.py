"""Who has the run: claim by one conditional UPDATE, lease, heartbeat, and the fence that refuses late writes.

Times are the application's clock. A clock that jumps forward makes a takeover come early, which the fence makes
harmless; one that jumps back makes leases reach into the future: those have run out too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from memories.pipeline.engine import transitions
from memories.pipeline.engine.results import LeaseLost, RunCanceled
from memories.pipeline.engine.retry_policy import RETRY_AFTER_LIMIT
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.operations.processes import lives, machine, worker_name
from memories.pipeline.states import State
from omi.core import rows

__all__ = ["lives", "machine", "worker_name"]


@dataclass(frozen=True, slots=True)
class Lease:
    """``previous``: state the run was claimed from; RUNNING means that its last worker, ``lost_owner``, was lost."""

    run_id: int
    owner: str
    fence: int
    claimed_at: datetime
    previous: State
    lost_owner: str = ""

    def values(self) -> dict[str, Any]:
        """The condition that every write of this worker carries."""
        return {"id": self.run_id, "state": State.RUNNING, "fence": self.fence, "lease_owner": self.owner}


def lease_time() -> timedelta:
    return timedelta(seconds=settings.OMI_LEASE_SECONDS)


def lapsed(now: datetime) -> Q:
    """Running under a lease that ran out, or that reaches further than any can: the clock was put back since."""
    return Q(state=State.RUNNING) & (Q(lease_until__lt=now) | Q(lease_until__gt=now + 2 * lease_time()))


def claimable(now: datetime) -> Q:
    """Queued and not in line, waiting and due (or set before the clock was put back), running with a lapsed lease."""
    return (
        Q(state=State.QUEUED, held=False)
        | Q(state=State.WAITING, wake_at__lte=now)
        | Q(state=State.WAITING, wake_at__gt=now + timedelta(seconds=RETRY_AFTER_LIMIT + 60))
        | lapsed(now)
    )


def _is_claimable(run: PostProcessingRun, now: datetime) -> bool:
    """``claimable`` for a row that was just read."""
    if run.state == State.QUEUED:
        return not run.held
    if run.state == State.WAITING and run.wake_at is not None:
        return run.wake_at <= now or run.wake_at > now + timedelta(seconds=RETRY_AFTER_LIMIT + 60)
    if run.state == State.RUNNING and run.lease_until is not None:
        return run.lease_until < now or run.lease_until > now + 2 * lease_time()
    return False


def _as_read(run: PostProcessingRun) -> dict[str, Any]:
    """The condition that nothing which decides about a claim has changed since ``run`` was read.

    A heartbeat moves ``lease_until``, a wake-up ``state`` or ``wake_at``, another claim ``fence``: whoever was faster
    made this one miss.
    """
    names = ("state", "held", "wake_at", "lease_until", "fence", "claims", "cancel_requested")
    return {name: getattr(run, name) for name in names}


def claim(run: PostProcessingRun, *, owner: str | None = None) -> Lease | None:
    """Take ``run`` (as just read) or return None: not due, finished, somebody else's, or out of claims.

    The claim is counted in the same UPDATE, before any work, so that work which kills its worker is counted too.
    ``run`` is brought up to date in memory.
    """
    now = timezone.now()
    owner = owner or worker_name()
    until = now + lease_time()
    previous, lost_owner = State(run.state), run.lease_owner
    if run.cancel_requested or run.claims >= run.max_claims or not _is_claimable(run, now):
        return None
    taken = transitions.change(
        run.pk,
        State.RUNNING,
        when=_as_read(run),
        lease_owner=owner,
        lease_until=until,
        heartbeat_at=now,
        step_started_at=now,
        started_at=run.started_at or now,
        fence=run.fence + 1,
        claims=run.claims + 1,
        total_claims=run.total_claims + 1,
    )
    if not taken:
        return None
    run.state, run.lease_owner, run.lease_until, run.wake_at = State.RUNNING, owner, until, None
    run.started_at = run.started_at or now
    run.fence += 1
    run.claims += 1
    run.total_claims += 1
    return Lease(run.pk, owner, run.fence, now, previous, lost_owner)


def write(lease: Lease, **fields: Any) -> None:
    """Write fields of the run as its holder; renews the lease. Raises LeaseLost or RunCanceled.

    First in every transaction that stores something of the run: an UPDATE locks the row, so that a takeover, a cancel
    or an erasure comes before all of the transaction or after all of it. A look (``check``) locks nothing.
    """
    now = timezone.now()
    values = {"lease_until": now + lease_time(), "heartbeat_at": now, **fields}
    if not rows.update(PostProcessingRun, values, {**lease.values(), "cancel_requested": False}):
        refuse(lease)


def change(lease: Lease, to: State, **fields: Any) -> None:
    """Move the run on as its holder. Raises LeaseLost or, unless it is to be finished, RunCanceled."""
    when = lease.values()
    if to is not State.FINISHED:
        when["cancel_requested"] = False
    if not transitions.change(lease.run_id, to, when=when, **fields):
        refuse(lease)


def check(lease: Lease) -> None:
    """Raise LeaseLost or RunCanceled unless this worker still has the run."""
    if not rows.exists(PostProcessingRun, {**lease.values(), "cancel_requested": False}):
        refuse(lease)


def hold(lease: Lease) -> None:
    """Raise LeaseLost unless this worker still has the run: where it is too late to cancel.

    As ``write`` does, it locks the run's row until the surrounding transaction ends: an erasure, which ends the run
    first, comes before all of that transaction, or finds what it wrote.
    """
    if not rows.update(PostProcessingRun, {"heartbeat_at": timezone.now()}, lease.values()):
        raise LeaseLost


def holds(lease: Lease) -> bool:
    """Whether this worker still has the run, canceled or not."""
    return rows.exists(PostProcessingRun, lease.values())


def refuse(lease: Lease) -> NoReturn:
    if holds(lease):
        raise RunCanceled
    raise LeaseLost
