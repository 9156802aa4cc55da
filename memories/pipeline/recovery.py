"""The safety net: runs that were lost on their way to a worker, whose workers died, or whose end was not notified.

It is run every few seconds by ``manage.py serve``, every minute by Django-Q2's schedule, and by hand by
``manage.py reconcile``. Each action is a conditional UPDATE, so any number of reconcilers may run at once. A run whose
workers died as often as they may becomes a dead letter, or goes on without an optional step.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog
from django.db import Error, transaction
from django.db.models import Exists, F, OuterRef, Q

from memories.pipeline import failure_catalogue, queries
from memories.pipeline.engine import checkpoints, lease, notifications, processes, queue, transitions
from memories.pipeline.engine.plans import OPTIONAL
from memories.pipeline.models import PostProcessingRun, RunStep, StepAttempt
from memories.pipeline.states import State, StepState
from memories.pipeline.vendor_calls import jobs, records
from omi.core import clock
from omi.core.errors import Outcome

log = structlog.get_logger(__name__)

GRACE = timedelta(seconds=3)
"""For a message that is on its way and due."""

RESEND = timedelta(seconds=30)
"""Between two messages for the same run."""

RESEND_BEHIND = timedelta(minutes=10)
"""The same while the workers are behind: a message that is not handed out yet is not lost, and a queue that nobody
empties must not fill with reminders (one per run and half a minute: a million an hour of 10,000 runs)."""

NOTIFYING = 20.0
"""Seconds of one pass over ends that could not be notified: a store that hangs must not hold a worker for long."""

WORKER_DIED = "worker_died"


@dataclass(slots=True)
class Report:
    """What one pass did; ``oldest_seconds`` is the age of the oldest unfinished run."""

    resent: int = 0
    ended: int = 0
    admitted: int = 0
    notified: int = 0
    oldest_seconds: float = 0.0

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def reconcile(*, limit: int = 500) -> Report:
    """Resend what was lost, end what must end, and notify the ends; the part that needs stores and vendors, too."""
    report = resend_lost(limit=limit, notify=True)
    report.notified = notify_ends(limit=limit)
    if report.resent or report.ended or report.admitted or report.notified:
        log.info("reconciled", **report.as_dict())
    return report


def resend_lost(*, limit: int = 500, notify: bool = False) -> Report:
    """Send what is due again, or end it. Without ``notify`` it asks nothing but the database.

    One row that cannot be dealt with is logged and keeps no other waiting.
    """
    now = clock.now()
    report = Report()
    pause = RESEND_BEHIND if queue.behind(now - GRACE) else RESEND
    due = PostProcessingRun.objects.filter(lease.claimable(now, since=GRACE))
    # Those that were never reminded first: a run behind many others that are reminded again and again has its turn.
    for run in due.order_by(F("task_sent_at").asc(nulls_first=True), "id")[:limit]:
        try:
            if end_unclaimable(run, notify=notify):
                report.ended += 1
            elif _resend(run, now, pause):
                report.resent += 1
        except Error:
            raise
        except Exception:
            log.exception("not_reconciled", run_id=run.pk)
    report.admitted = _admit_forgotten()
    report.oldest_seconds = queries.oldest_age(now)
    return report


def notify_ends(*, limit: int = 500, seconds: float = NOTIFYING) -> int:
    """Notify the ends that nobody could notify; how many were notified.

    It takes ``seconds``, about, and goes on behind the last one the next time: one that cannot be notified keeps no
    other waiting.
    """
    global _notified_until
    waiting = PostProcessingRun.objects.filter(
        state=State.FINISHED, notified=False, finished_at__lt=clock.now() - GRACE
    )
    runs = list(waiting.filter(pk__gt=_notified_until).order_by("id")[:limit])
    if len(runs) < limit:
        runs += waiting.filter(pk__lte=_notified_until).order_by("id")[: limit - len(runs)]
    notified, until = 0, time.monotonic() + seconds
    for run in runs:
        if time.monotonic() > until:
            break
        _notified_until = run.pk
        try:
            jobs.cancel(run)  # whoever ended it may have died before it did so
            notified += notifications.end(run.pk)
        except Exception:
            log.exception("end_not_notified", run_id=run.pk)
    return notified


_notified_until = 0


def end_unclaimable(run: PostProcessingRun, *, notify: bool = True) -> bool:
    """End a run that no worker holds and none may claim: out of claims (dead letter), or canceled meanwhile.

    One that is out of claims at an optional step goes on without it instead (False). Without ``notify`` that is left to
    ``notify_ends``: nothing but the database is asked.
    """
    now = clock.now()
    idle = lease.claimable(now) & Q(fence=run.fence)
    spent = idle & Q(claims__gte=F("max_claims"))
    if run.cancel_requested:
        done = checkpoints.finish_idle(
            run, Outcome.CANCELED, notifications.why_canceled(run.pk), when=idle & Q(cancel_requested=True),
            actor="reconciler",
        )  # fmt: skip
    elif run.claims < run.max_claims:
        return False
    elif run.current_step in OPTIONAL and run.state == State.RUNNING:
        _go_on_without(run, spent)
        return False
    else:
        done = _dead_letter(run, spent)
    if done and notify:
        jobs.cancel(run)
        notifications.end(run.pk)
    return done


def _go_on_without(run: PostProcessingRun, when: Q) -> None:
    """An optional step killed the workers: it fails softly, and the run goes on behind it with its claims anew."""
    plan = list(run.plan)
    following = "".join(plan[plan.index(run.current_step) + 1 :][:1])
    with transaction.atomic():
        if not transitions.change(
            run.pk, State.QUEUED, when=when, claims=0, current_step=following, task_sent_at=clock.now()
        ):
            return
        _step_failed(run)
        notifications.record(run.pk, "step_skipped", actor="reconciler", step=run.current_step, message_id=WORKER_DIED)
        queue.wake_on_commit(run.pk)
    log.error("step_skipped", run_id=run.pk, uid=run.uid, memory_id=run.memory_id, step=run.current_step)


def _dead_letter(run: PostProcessingRun, when: Q) -> bool:
    """End a run whose workers died as often as they may. False where somebody was faster."""
    with transaction.atomic():
        done = checkpoints.finish_idle(
            run, Outcome.TIMEOUT, WORKER_DIED, when=when, actor="reconciler", dead_letter=True,
            detail=f"claimed {run.claims} times at {run.current_step}",
        )  # fmt: skip
        if done:
            _step_failed(run)
    if done:
        log.error("dead_letter", run_id=run.pk, uid=run.uid, memory_id=run.memory_id, step=run.current_step)
    return done


def _step_failed(run: PostProcessingRun) -> None:
    """The step at work has failed. The last worker's death is an attempt that nobody else records."""
    step = RunStep.objects.filter(run=run, name=run.current_step).first()
    if step is None or step.ended:
        return
    now = clock.now()
    began = run.step_started_at or run.heartbeat_at or now
    attempt = checkpoints.abandoned_attempt(step, run.fence, run.lease_owner, began)
    StepAttempt.objects.bulk_create([attempt])
    begun = step.started_at or began
    RunStep.objects.filter(pk=step.pk).update(
        state=StepState.FAILED, outcome=Outcome.TIMEOUT, note=failure_catalogue.get(WORKER_DIED).sentence,
        attempts=attempt.number, started_at=begun, finished_at=now, seconds=max(0.0, (now - begun).total_seconds()),
    )  # fmt: skip


def _resend(run: PostProcessingRun, now: datetime, pause: timedelta) -> bool:
    if run.state == State.RUNNING:
        pause = RESEND  # its worker died: no message is under way
    elif pause == RESEND_BEHIND and run.task_sent_at is None and run.created_at > now - pause:
        return False
    reminder = PostProcessingRun.objects.filter(
        Q(task_sent_at=None) | Q(task_sent_at__lt=now - pause) | Q(task_sent_at__gt=now + lease.LONGEST_WAIT),
        pk=run.pk,
        fence=run.fence,
    ).exclude(state=State.FINISHED)
    if not reminder.update(task_sent_at=now):
        return False
    notifications.record(run.pk, "resent", actor="reconciler", step=run.current_step, state=run.state)
    queue.wake(run.pk)
    return True


def end_hung_workers() -> int:
    """Kill the workers of this machine that live on while the lease of their run has run out; how many.

    A worker at work renews its lease as long as its step may take. One that does not hangs, or its step had its time.
    """
    now = clock.now()
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
    now = clock.now()
    released = 0
    mine = PostProcessingRun.objects.filter(
        state=State.RUNNING, lease_until__gte=now, lease_owner__startswith=f"{lease.machine()}:"
    )
    for run_id, owner, fence in mine.values_list("pk", "lease_owner", "fence"):
        if lease.lives(owner):
            continue
        held = PostProcessingRun.objects.filter(pk=run_id, state=State.RUNNING, lease_owner=owner, fence=fence)
        released += held.update(lease_until=now - timedelta(seconds=1), task_sent_at=None)
    return released + records.release_lost()


def _admit_forgotten() -> int:
    """Admit runs that are queued behind nobody: the process that ended the one before died in between."""
    before = PostProcessingRun.objects.filter(uid=OuterRef("uid"), memory_id=OuterRef("memory_id"), blocked=False)
    forgotten = PostProcessingRun.objects.filter(blocked=True, state=State.QUEUED).exclude(
        Exists(before.exclude(state=State.FINISHED))
    )
    found = list(forgotten.order_by("id").values_list("uid", "memory_id")[:100])
    for uid, memory_id in found:
        with transaction.atomic():
            queue.admit_next(uid, memory_id)
    return len(found)
