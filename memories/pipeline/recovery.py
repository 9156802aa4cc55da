"""The safety net: whatever was lost on the way to a worker is found in the rows and sent again.

Run every few seconds by ``manage.py serve``, every minute by Django-Q2's schedule, and by hand by
``manage.py reconcile``. Each action is a conditional UPDATE, so any number of reconcilers may run at once.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from django.db import Error, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from memories.pipeline import dead_letters, notifications
from memories.pipeline.engine import checkpoints, lease, queue, transitions
from memories.pipeline.engine.retry_policy import RETRY_AFTER_LIMIT
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.operations import processes
from memories.pipeline.states import State
from memories.pipeline.vendor_calls import jobs, pending_calls
from omi.core.errors import Outcome

log = structlog.get_logger(__name__)

GRACE = timedelta(seconds=3)
"""For a wake-up that is on its way and due."""

LONGEST_WAIT = timedelta(seconds=RETRY_AFTER_LIMIT + 60)
"""No step waits longer: a wake-up time beyond it was set before the clock was put back, and is due."""

RESEND = timedelta(seconds=30)
"""Between two wake-ups of the same run."""

TELLING = 20.0
"""Seconds of one pass over ends that could not be told: a store that hangs must not hold a worker for long."""

RESEND_BEHIND = timedelta(minutes=10)
"""The same while the workers are behind: a wake-up that is not handed out yet is not lost, and a queue that nobody
empties must not fill with reminders (one per run and half a minute: a million an hour of 10,000 runs)."""


@dataclass(slots=True)
class Report:
    """What one pass did; ``oldest_seconds`` is the age of the oldest unfinished run."""

    woken: int = 0
    given_up: int = 0
    let_in: int = 0
    told: int = 0
    oldest_seconds: float = 0.0

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def reconcile(*, limit: int = 500) -> Report:
    report = wake_lost(limit=limit, tell=True)
    report.told = tell_ends(limit=limit)
    if report.woken or report.given_up or report.let_in or report.told:
        log.info("reconciled", **report.as_dict())
    return report


def wake_lost(*, limit: int = 500, tell: bool = False) -> Report:
    """What is due is sent again, or given up. Without ``tell`` it asks nothing but the database.

    One row that cannot be dealt with is logged and keeps no other waiting.
    """
    now = timezone.now()
    report = Report()
    pause = RESEND_BEHIND if queue.behind(now - GRACE) else RESEND
    due = PostProcessingRun.objects.filter(
        Q(state=State.QUEUED, held=False, created_at__lt=now - GRACE)
        | Q(state=State.WAITING, wake_at__lt=now - GRACE)
        | Q(state=State.WAITING, wake_at__gt=now + LONGEST_WAIT)
        | lease.lapsed(now)
    )
    # Those that were never reminded first: a run behind many others that are reminded again and again has its turn.
    for run in due.order_by(F("woken_at").asc(nulls_first=True), "id")[:limit]:
        try:
            if give_up(run, tell=tell):
                report.given_up += 1
            elif _remind(run, now, pause):
                report.woken += 1
        except Error:
            raise
        except Exception:
            log.exception("not_reconciled", run_id=run.pk)
    report.let_in = _let_in_forgotten()
    report.oldest_seconds = oldest_age(now)
    return report


def tell_ends(*, limit: int = 500, seconds: float = TELLING) -> int:
    """Tell the ends that nobody could tell; the part that needs stores and vendors. How many were told.

    It takes ``seconds``, about, and goes on behind the last one the next time: what cannot be told keeps no other.
    """
    global _told_until
    untold = PostProcessingRun.objects.filter(
        state=State.FINISHED, announced=False, finished_at__lt=timezone.now() - GRACE
    )
    runs = list(untold.filter(pk__gt=_told_until).order_by("id")[:limit])
    if len(runs) < limit:
        runs += untold.filter(pk__lte=_told_until).order_by("id")[: limit - len(runs)]
    told, until = 0, time.monotonic() + seconds
    for run in runs:
        if time.monotonic() > until:
            break
        _told_until = run.pk
        try:
            jobs.stop_left_behind(run)  # whoever ended it may have died before it did so
            told += notifications.end(run.pk)
        except Exception:
            log.exception("end_not_told", run_id=run.pk)
    return told


_told_until = 0


def give_up(run: PostProcessingRun, *, tell: bool = True) -> bool:
    """End a run that nobody holds and nobody may claim: out of claims (dead letter), or canceled meanwhile.

    One that is out of claims at an optional step goes on without it instead (False). Without ``tell`` the end is told
    by ``tell_ends``: nothing but the database is asked.
    """
    now = timezone.now()
    idle = lease.claimable(now) & Q(fence=run.fence)
    spent = idle & Q(claims__gte=F("max_claims"))
    if run.cancel_requested:
        done = checkpoints.finish_idle(
            run.pk, run.uid, run.memory_id, Outcome.CANCELED, checkpoints.why_canceled(run.pk),
            when=idle & Q(cancel_requested=True), actor="reconciler",
        )  # fmt: skip
    elif run.claims < run.max_claims:
        return False
    elif dead_letters.optional(run):
        dead_letters.go_on_without(run, spent)
        return False
    else:
        done = dead_letters.dead_letter(run, spent)
    if done and tell:
        jobs.stop_left_behind(run)
        notifications.end(run.pk)
    return done


def _remind(run: PostProcessingRun, now: datetime, pause: timedelta) -> bool:
    if run.state == State.RUNNING:
        pause = RESEND  # its worker died: no wake-up is under way
    elif pause == RESEND_BEHIND and run.woken_at is None and run.created_at > now - pause:
        return False
    reminder = PostProcessingRun.objects.filter(
        Q(woken_at=None) | Q(woken_at__lt=now - pause) | Q(woken_at__gt=now + LONGEST_WAIT), pk=run.pk, fence=run.fence
    ).exclude(state=State.FINISHED)
    if not reminder.update(woken_at=now):
        return False
    checkpoints.note(run, "sent_again", actor="reconciler", step=run.current_step, state=run.state)
    queue.wake(run.pk)
    return True


def end_hung_workers() -> int:
    """Kill the workers of this machine that live on while the lease of their run has run out; how many.

    A worker at work renews its lease as long as its step may take. One that does not hangs, or its step had its time.
    """
    now = timezone.now()
    lapsed = PostProcessingRun.objects.filter(
        lease.lapsed(now), lease_until__lt=now, lease_owner__startswith=f"{lease.machine()}:"
    )
    return sum(
        processes.end_hung(owner, run_id=run_id)
        for run_id, owner in lapsed.values_list("pk", "lease_owner")
        if lease.lives(owner)
    )


def release_dead_workers() -> int:
    """Leases of processes of this machine that are gone need not run out: their runs are due now.

    So are the runs that wait for the answer to a call that such a process had made. The claim stays counted. A process
    id that was given to another process only costs the wait for the lease, or for the call's deadline.
    """
    now = timezone.now()
    released = 0
    mine = PostProcessingRun.objects.filter(
        state=State.RUNNING, lease_until__gte=now, lease_owner__startswith=f"{lease.machine()}:"
    )
    for run_id, owner, fence in mine.values_list("pk", "lease_owner", "fence"):
        if lease.lives(owner):
            continue
        held = PostProcessingRun.objects.filter(pk=run_id, state=State.RUNNING, lease_owner=owner, fence=fence)
        released += held.update(lease_until=now - timedelta(seconds=1), woken_at=None)
    return released + pending_calls.free_lost()


def _let_in_forgotten() -> int:
    """A run in line with nobody before it: the process that ended the one before died in between."""
    before = PostProcessingRun.objects.filter(uid=OuterRef("uid"), memory_id=OuterRef("memory_id"), held=False)
    forgotten = PostProcessingRun.objects.filter(held=True, state=State.QUEUED).exclude(
        Exists(before.exclude(state=State.FINISHED))
    )
    found = list(forgotten.order_by("id").values_list("uid", "memory_id")[:100])
    for uid, memory_id in found:
        with transaction.atomic():
            checkpoints.next_in_line(uid, memory_id)
    return len(found)


def wake_early(run_id: int) -> bool:
    """A vendor called back: a waiting run is due now. False if it does not wait."""
    woken = transitions.change(run_id, State.QUEUED, when=Q(state=State.WAITING), woken_at=timezone.now())
    if woken:
        queue.wake(run_id)
    return woken


_UNFINISHED = [state for state in State if state is not State.FINISHED]
"""Named one by one: "not finished" cannot be looked up in an index."""


def oldest_age(now: datetime | None = None) -> float:
    """Age in seconds of the oldest run that has not ended; 0 where there is none."""
    oldest = (
        PostProcessingRun.objects.filter(state__in=_UNFINISHED).order_by("created_at").values_list(
            "created_at", flat=True
        ).first()
    )  # fmt: skip
    return max(0.0, ((now or timezone.now()) - oldest).total_seconds()) if oldest else 0.0
