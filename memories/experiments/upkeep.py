"""What Django-Q2 calls for experiments, and what a user and a memory leave in them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from django.db.models import Sum
from django.utils import timezone

from memories.experiments import deciding, shadow
from memories.experiments.assigning import observe
from memories.experiments.models import Experiment, Exposure, Observation, ShadowResult, TunedValue
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.states import State
from omi.core.pruning import delete_in_pieces
from omi.shared_metrics.schedules import Schedules

SETTLED: Final = timedelta(days=7)
"""After so long without a correction a memory counts as not corrected."""
FILLED: Final = 2000
"""Observations that one turn fills in."""


def tick() -> int:
    """Fill in what came of memories, go on with shadow results, and stop what does harm. How much was done."""
    return fill() + shadow.tick() + len(deciding.watch())


def fill() -> int:
    """How the runs of observed memories ended, and which memories nobody corrected; how many rows were filled in."""
    now, done = timezone.now(), 0
    rows = Observation.objects.filter(experiment__state=Experiment.State.RUNNING)
    for row in rows.filter(values__failed=None).order_by("id")[:FILLED]:
        run = (
            PostProcessingRun.objects.filter(uid=row.uid, memory_id=row.memory_id, state=State.FINISHED)
            .order_by("-id")
            .first()
        )
        if run is not None:
            done += observe(row.uid, row.memory_id, dict(_of_run(run)))
    for row in rows.filter(values__corrected=None, at__lt=now - SETTLED).order_by("id")[:FILLED]:
        done += observe(row.uid, row.memory_id, {"corrected": 0.0})
    return done


def _of_run(run: PostProcessingRun) -> Iterator[tuple[str, float]]:
    yield "failed", float(not run.succeeded)
    steps = {step.name: step for step in run.steps.all()}
    yield "slow", sum(step.seconds for step in steps.values()) / shadow.SLOWEST
    yield "cost", float(run.vendor_calls.aggregate(sum=Sum("cost"))["sum"] or 0.0) / shadow.DEAREST
    if "assess" in steps and "accepted" in (steps["assess"].output or {}):
        yield "accepted", float(bool(steps["assess"].output["accepted"]))


def prune() -> int:
    """Delete what was kept aside too long ago; how many rows."""
    return delete_in_pieces(ShadowResult.objects.filter(at__lt=timezone.now() - shadow.KEPT))


def forget_memory(uid: str, memory_id: str) -> int:
    """Erase what experiments keep of a memory."""
    return sum(
        int(rows.objects.filter(uid=uid, memory_id=memory_id).delete()[0]) for rows in (Observation, ShadowResult)
    )


def forget_user(uid: str) -> int:
    """Erase what experiments keep of a user."""
    return sum(int(rows.objects.filter(uid=uid).delete()[0]) for rows in _OF_USERS)


def remaining(uid: str) -> int:
    """Return how many rows of a user the experiments still hold."""
    return sum(rows.objects.filter(uid=uid).count() for rows in _OF_USERS)


def exported(uid: str) -> dict[str, Any]:
    """Return for the user's export of which experiments they were part, and which values are their own."""
    exposures = Exposure.objects.filter(uid=uid).order_by("at")
    values = TunedValue.objects.filter(uid=uid).order_by("at")
    tried = ShadowResult.objects.filter(uid=uid).order_by("at")
    return {
        "experiments": list(exposures.values("experiment__name", "variant", "at")),
        "values": list(values.values("name", "value", "origin", "why", "state", "at", "ended_at")),
        "tried": list(tried.values("experiment__name", "variant", "memory_id", "state", "at")),
    }


_OF_USERS = (Exposure, Observation, ShadowResult, TunedValue)


SCHEDULES: Final = Schedules(
    {
        "experiments": ("memories.experiments.upkeep.tick", 10),
        "delete old shadow results": ("memories.experiments.upkeep.prune", 24 * 60),
    }
)
ensure_schedules = SCHEDULES.ensure
