"""What Django-Q2 calls. Ids only; everything else is in the rows."""

from __future__ import annotations

import time
from datetime import timedelta

import structlog
from django.utils import timezone
from django_q.models import Task

from memories.pipeline import recovery, runner
from memories.pipeline.engine import fairness
from memories.pipeline.models import ClusterBeat, PostProcessingRun
from memories.pipeline.operations import metrics, unknown_tasks
from memories.pipeline.operations.schedules import HOUSEKEEPING
from memories.pipeline.states import State
from memories.pipeline.vendor_calls import jobs
from omi.core.env import env_str
from omi.core.pruning import delete_in_pieces
from omi.shared_metrics import schedules
from omi.shared_metrics.schedules import part_of
from omi.stores import audio, uploads
from transcription.session.recovery import recover_sessions

log = structlog.get_logger(__name__)

SIGN_OF_LIFE = 5.0
"""A worker says that it lives at most this often (seconds) while it works."""

_last_sign = 0.0


TURNS = 5
"""Times that a worker looks for another run where somebody was faster with the one that it had chosen."""


def wake(run_id: int) -> str:
    """Work on run ``run_id``, or on the one whose user's turn it is. The message is as good for the one as for the
    other."""
    alive()
    for _ in range(TURNS):
        chosen = fairness.choose(run_id)
        result = runner.work(chosen)
        if chosen == run_id or result != "not_claimed":
            return result
    return runner.work(run_id)


def stop_jobs(run_id: int) -> int:
    """Stop what vendors still do for a run that was canceled; how many jobs there were."""
    run = PostProcessingRun.objects.filter(pk=run_id).first()
    return jobs.cancel(run) if run is not None else 0


def reconcile() -> dict[str, float]:
    """Run one round of the recovery of lost tasks and abandoned runs; returns its counts by name."""
    return recovery.reconcile().as_dict()


def housekeeping() -> dict[str, int]:
    """Finish sessions whose process died; delete audio past its deadline, broken-off uploads and old queue records;
    send again what a worker of another release did not know; add what has ended to the totals of the counters.

    One part that fails is logged and keeps no other from its work; that it succeeds is noted of each by itself.
    """

    def expired_audio() -> int:
        # Workers that were away longer than audio is kept must find it when they come back.
        busy = PostProcessingRun.objects.exclude(state=State.FINISHED).values_list("memory_id", flat=True)
        return audio.sweep_expired(in_use=set(busy))

    def old_tasks() -> int:
        return delete_in_pieces(Task.objects.filter(stopped__lt=timezone.now() - timedelta(days=7)))

    done = {}
    parts = {"sessions": recover_sessions, "audio": expired_audio, "uploads": uploads.sweep, "tasks": old_tasks,
             "unknown": unknown_tasks.send_again, "figures": metrics.fold}  # fmt: skip
    for name, part in parts.items():
        try:
            done[name] = int(part() or 0)
            schedules.succeeded(part_of(HOUSEKEEPING, name))
        except Exception:
            log.exception("housekeeping_failed", part=name)
            done[name] = -1
    return done


def beat(name: str, number: int) -> None:
    """Prove that a message travels from the queue through the pusher to a worker (``manage.py serve`` looks). Another
    cluster on the same database may have got it: then it proves nothing for ``name``.
    """
    own = env_str("OMI_CLUSTER_ID")
    if own and own == name:
        ClusterBeat.objects.update_or_create(name=name, defaults={"number": number, "at": timezone.now()})
    else:
        alive()


def alive() -> None:
    """Say that a worker of this cluster lives. Work that takes long says so from time to time, or ``manage.py serve``
    takes the cluster for one that hangs."""
    global _last_sign
    own = env_str("OMI_CLUSTER_ID")
    if not own or time.monotonic() - _last_sign < SIGN_OF_LIFE:
        return
    _last_sign = time.monotonic()
    if not ClusterBeat.objects.filter(pk=own).update(at=timezone.now()):
        ClusterBeat.objects.get_or_create(name=own, defaults={"at": timezone.now()})
