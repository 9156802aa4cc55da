"""The safety net: whatever was lost on the way to a worker is found in the rows and sent again.

Run every few seconds by ``manage.py serve``, every minute by Django-Q2's schedule, and by hand by
``manage.py reconcile``. Each action is a conditional UPDATE, so any number of reconcilers may run at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from memories.pipeline import announce, claim, giving_up, late_answers, progress, queue, transitions, vendor_jobs
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.retries import RETRY_AFTER_LIMIT
from memories.pipeline.vocabulary import State
from omi.errors import Outcome

log = structlog.get_logger(__name__)

GRACE = timedelta(seconds=3)
"""For a wake-up that is on its way and due."""

LONGEST_WAIT = timedelta(seconds=RETRY_AFTER_LIMIT + 60)
"""No step waits longer: a wake-up time beyond it was set before the clock was put back, and is due."""

RESEND = timedelta(seconds=30)
"""Between two wake-ups of the same run."""

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
    now = timezone.now()
    report = Report()
    pause = RESEND_BEHIND if queue.behind(now - GRACE) else RESEND
    due = PostProcessingRun.objects.filter(
        Q(state=State.QUEUED, held=False, created_at__lt=now - GRACE)
        | Q(state=State.WAITING, wake_at__lt=now - GRACE)
        | Q(state=State.WAITING, wake_at__gt=now + LONGEST_WAIT)
        | claim.lapsed(now)
    )
    for run in due.order_by("id")[:limit]:
        if give_up(run):
            report.given_up += 1
        elif _remind(run, now, pause):
            report.woken += 1
    report.let_in = _let_in_forgotten()
    untold = PostProcessingRun.objects.filter(state=State.FINISHED, announced=False, finished_at__lt=now - GRACE)
    for run in untold.order_by("id")[:limit]:
        vendor_jobs.stop_left_behind(run)  # whoever ended it may have died before it did so
        report.told += announce.end(run.pk)
    report.oldest_seconds = oldest_age(now)
    if report.woken or report.given_up or report.let_in or report.told:
        log.info("reconciled", **report.as_dict())
    return report


def give_up(run: PostProcessingRun) -> bool:
    """End a run that nobody holds and nobody may claim: out of claims (dead letter), or canceled meanwhile.

    One that is out of claims at an optional step goes on without it instead (False).
    """
    now = timezone.now()
    idle = claim.claimable(now) & Q(fence=run.fence)
    spent = idle & Q(claims__gte=F("max_claims"))
    if run.cancel_requested:
        done = progress.finish_idle(
            run.pk, run.uid, run.memory_id, Outcome.CANCELED, progress.why_canceled(run.pk),
            when=idle & Q(cancel_requested=True), actor="reconciler",
        )  # fmt: skip
    elif run.claims < run.max_claims:
        return False
    elif giving_up.optional(run):
        giving_up.go_on_without(run, spent)
        return False
    else:
        done = giving_up.dead_letter(run, spent)
    if done:
        vendor_jobs.stop_left_behind(run)
        announce.end(run.pk)
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
    progress.note(run, "sent_again", actor="reconciler", step=run.current_step, state=run.state)
    queue.wake(run.pk)
    return True


def release_dead_workers() -> int:
    """Leases of processes of this machine that are gone need not run out: their runs are due now.

    So are the runs that wait for the answer to a call that such a process had made. The claim stays counted. A process
    id that was given to another process only costs the wait for the lease, or for the call's deadline.
    """
    now = timezone.now()
    released = 0
    mine = PostProcessingRun.objects.filter(
        state=State.RUNNING, lease_until__gte=now, lease_owner__startswith=f"{claim.machine()}:"
    )
    for run_id, owner, fence in mine.values_list("pk", "lease_owner", "fence"):
        if claim.lives(owner):
            continue
        held = PostProcessingRun.objects.filter(pk=run_id, state=State.RUNNING, lease_owner=owner, fence=fence)
        released += held.update(lease_until=now - timedelta(seconds=1), woken_at=None)
    return released + late_answers.free_lost()


def _let_in_forgotten() -> int:
    """A run in line with nobody before it: the process that ended the one before died in between."""
    forgotten = 0
    for uid, memory_id in PostProcessingRun.objects.filter(held=True, state=State.QUEUED).values_list(
        "uid", "memory_id"
    )[:100]:
        active = PostProcessingRun.objects.filter(uid=uid, memory_id=memory_id, held=False)
        if not active.exclude(state=State.FINISHED).exists():
            with transaction.atomic():
                progress.next_in_line(uid, memory_id)
            forgotten += 1
    return forgotten


def wake_early(run_id: int) -> bool:
    """A vendor called back: a waiting run is due now. False if it does not wait."""
    woken = transitions.change(run_id, State.QUEUED, when=Q(state=State.WAITING), woken_at=timezone.now())
    if woken:
        queue.wake(run_id)
    return woken


def oldest_age(now: datetime | None = None) -> float:
    """Age in seconds of the oldest run that has not ended; 0 where there is none."""
    oldest = (
        PostProcessingRun.objects.exclude(state=State.FINISHED).order_by("created_at").values_list(
            "created_at", flat=True
        ).first()
    )  # fmt: skip
    return max(0.0, ((now or timezone.now()) - oldest).total_seconds()) if oldest else 0.0
