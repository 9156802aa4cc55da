"""Which value is in force for a user: an experiment's variant, what was learned or decided, or the default.

``source`` answers ``omi.core.tuned``. What experiments and decisions there are is read every few seconds, so that the
places which ask pay nothing while there are none.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import Error, IntegrityError, transaction
from django.utils import timezone

from memories.experiments.models import Experiment, Exposure, Observation, TunedValue
from omi.accounts.erased import erased_since

log = structlog.get_logger(__name__)

REMEMBERED: Final = 5.0
"""Seconds after which a process sees what another one has started, stopped or decided."""


@dataclass(slots=True)
class _Known:
    until: float = 0.0
    running: dict[str, Experiment] = field(default_factory=dict)
    for_all: dict[str, Any] = field(default_factory=dict)
    for_some: set[str] = field(default_factory=set)


_known = _Known()
_ERASING = timedelta(minutes=10)
"""What of a user that was erased this recently may still be at work is not noted."""


def forget_known() -> None:
    """Read anew at the next question: something was started, stopped or decided in this process."""
    _known.until = 0.0


def source(name: str, uid: str, memory_id: str) -> Any:
    """The value of ``name`` for this user; None: the default. A database that is away changes nothing."""
    try:
        _refresh()
        experiment = _known.running.get(name)
        if experiment is not None and (variant := _variant(experiment, uid, memory_id)) is not None:
            return experiment.variants[variant]
        return applied(name, uid)
    except Error as error:
        log.warning("tuned_value_unavailable", name=name, error=type(error).__name__)
        return None


def applied(name: str, uid: str) -> Any:
    """What was decided for this user, else for everybody; None: nothing."""
    _refresh()
    if uid and name in _known.for_some:
        rows = TunedValue.objects.filter(state=TunedValue.State.APPLIED, uid=uid, name=name).order_by("-id")
        if (own := rows.first()) is not None:
            return own.value
    return _known.for_all.get(name)


def variants_of(uid: str, memory_id: str) -> dict[str, str]:
    """Experiment to the variant that took effect on the memory."""
    rows = Observation.objects.filter(uid=uid, memory_id=memory_id).select_related("experiment")
    return {row.experiment.name: row.variant for row in rows}


def assigned(experiment: Experiment, uid: str) -> str | None:
    """The variant that is this user's as long as the experiment lives, by hash; None: not taking part."""
    if share_of(experiment.name, "part", uid) >= experiment.share:
        return None
    names: list[str] = sorted(experiment.variants)
    return names[int(share_of(experiment.name, "variant", uid) * len(names))]


def share_of(*parts: str) -> float:
    """A number from 0 to 1 (excluded) that follows from the parts, even over many of them."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


def _variant(experiment: Experiment, uid: str, memory_id: str) -> str | None:
    if memory_id:
        pinned = Observation.objects.filter(experiment=experiment, uid=uid, memory_id=memory_id).first()
        if pinned is not None:
            return str(pinned.variant)
    variant = assigned(experiment, uid)
    if variant is None:
        return None
    if variant in experiment.stopped:
        return experiment.control if experiment.control not in experiment.stopped else None
    _expose(experiment, uid, memory_id, variant)
    return variant


def _expose(experiment: Experiment, uid: str, memory_id: str, variant: str) -> None:
    now = timezone.now()
    try:
        with transaction.atomic():
            if erased_since(uid, now - _ERASING):
                return
            Exposure.objects.get_or_create(experiment=experiment, uid=uid, defaults={"variant": variant, "at": now})
            if memory_id:
                Observation.objects.get_or_create(
                    experiment=experiment, uid=uid, memory_id=memory_id, defaults={"variant": variant, "at": now}
                )
    except IntegrityError:  # the experiment is gone, or another process was first
        forget_known()


def observe(uid: str, memory_id: str, values: dict[str, float]) -> int:
    """Note what came of a memory, for the experiments that it is part of; how many."""
    rows = Observation.objects.filter(uid=uid, memory_id=memory_id, experiment__state=Experiment.State.RUNNING)
    return sum(_noted(row, values) for row in rows)


def _noted(row: Observation, values: dict[str, float]) -> int:
    with transaction.atomic():
        held = Observation.objects.select_for_update().filter(pk=row.pk).first()
        if held is None:
            return 0
        held.values = {**held.values, **{name: min(1.0, max(0.0, float(value))) for name, value in values.items()}}
        held.save(update_fields=["values"])
    return 1


def _refresh() -> None:
    now = time.monotonic()
    if now < _known.until:
        return
    running = Experiment.objects.filter(state=Experiment.State.RUNNING, mode=Experiment.Mode.ASSIGN)
    _known.running = {experiment.tunable: experiment for experiment in running}
    rows = TunedValue.objects.filter(state=TunedValue.State.APPLIED)
    _known.for_all = {row.name: row.value for row in rows.filter(uid="").order_by("id")}
    _known.for_some = set(rows.exclude(uid="").values_list("name", flat=True).distinct())
    _known.until = now + REMEMBERED
