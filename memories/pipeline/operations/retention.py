"""How long rows about work that is over are kept: artifacts for days, runs and calls for months.

A scheduled job (``memories.upkeep.retention``) deletes in pieces, oldest first, and reports how much. Figures of what
is deleted stay in the counters (``metrics.keep``). 0 days keeps for ever.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from memories.pipeline import budgets
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact, VendorCall
from memories.pipeline.operations import metrics
from memories.pipeline.states import State

log = structlog.get_logger(__name__)

PIECE: Final = 200
"""Runs, or calls, of one transaction: others write in between."""

PIECES: Final = 250
"""Transactions of one pass: 50,000 runs a day, more than come in."""


@dataclass(slots=True)
class Report:
    """How many rows one pass deleted. ``artifacts_of``: steps that lost their large results."""

    artifacts_of: int = 0
    answers: int = 0
    runs: int = 0
    calls: int = 0
    days_of_use: int = 0


def prune() -> Report:
    """Delete artifacts, late answers, runs and vendor calls that are too old, in bounded pieces; returns the counts."""
    report = Report()
    for _ in range(PIECES):
        if not (done := _artifacts()):
            break
        report.artifacts_of += done
    for _ in range(PIECES):
        if not (done := _late_answers()):
            break
        report.answers += done
    for _ in range(PIECES):
        if not (done := _runs()):
            break
        report.runs += done
    for _ in range(PIECES):
        if not (done := _calls()):
            break
        report.calls += done
    report.days_of_use = budgets.prune()
    log.info("retention", **asdict(report))
    return report


def _artifacts() -> int:
    """Whole transcripts and vectors of runs that ended long ago. Without them a step's result cannot be reused."""
    if not settings.OMI_ARTIFACT_KEEP_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.OMI_ARTIFACT_KEEP_DAYS)
    old = StepArtifact.objects.filter(step__run__state=State.FINISHED, step__run__finished_at__lt=before)
    steps = list(old.order_by("step_id").values_list("step_id", flat=True).distinct()[:PIECE])
    with transaction.atomic():
        StepArtifact.objects.filter(step__in=steps).delete()
        RunStep.objects.filter(pk__in=steps).update(input_hash="")
    return len(steps)


def _late_answers() -> int:
    """Answers of vendors that came when their run had no use for them any more: they hold transcripts, too."""
    if not settings.OMI_ARTIFACT_KEEP_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.OMI_ARTIFACT_KEEP_DAYS)
    old = VendorCall.objects.filter(answer__isnull=False, run__state=State.FINISHED, run__finished_at__lt=before)
    found = list(old.order_by("id").values_list("pk", flat=True)[:PIECE])
    return VendorCall.objects.filter(pk__in=found).update(answer=None)


def _runs() -> int:
    if not settings.OMI_RUN_KEEP_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.OMI_RUN_KEEP_DAYS)
    old = PostProcessingRun.objects.filter(state=State.FINISHED, notified=True, finished_at__lt=before)
    found = list(old.order_by("id").values_list("pk", flat=True)[:PIECE])
    runs = PostProcessingRun.objects.filter(pk__in=found)
    with transaction.atomic():
        metrics.keep(runs)
        runs.delete()
    return len(found)


def _calls() -> int:
    """Calls that belong to no run: searches."""
    if not settings.OMI_RUN_KEEP_DAYS:
        return 0
    before = timezone.now() - timedelta(days=settings.OMI_RUN_KEEP_DAYS)
    old = VendorCall.objects.filter(run=None, started_at__lt=before)
    found = list(old.order_by("id").values_list("pk", flat=True)[:PIECE])
    calls = Q(pk__in=found)
    with transaction.atomic():
        metrics.keep_calls(calls)
        VendorCall.objects.filter(calls).delete()
    return len(found)
