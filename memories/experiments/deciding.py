"""Starting, stopping, promoting and rolling back, each with its record; and the watch that stops what does harm."""

from __future__ import annotations

from typing import Any

import structlog
from django.db import transaction
from django.utils import timezone

from memories.experiments import analysis
from memories.experiments.assigning import forget_known
from memories.experiments.declaring import Refused
from memories.experiments.models import DecisionRecord, Experiment, TunedValue
from memories.experiments.tunables import BadValue, effective

log = structlog.get_logger(__name__)

WATCH = "watch"
"""The actor of what is decided by rule."""


def named(name: str) -> Experiment:
    """Return the experiment of this name; raises Refused where there is none."""
    found = Experiment.objects.filter(name=name).first()
    if found is None:
        raise Refused(f"there is no experiment {name!r}")
    return found


def start(experiment: Experiment, *, actor: str, reason: str = "") -> Experiment:
    """Let it take effect. One experiment a tunable runs at a time, so that effects are told apart. Raises Refused."""
    with transaction.atomic():
        held = _held(experiment)
        if held.state != Experiment.State.DRAFT:
            raise Refused(f"{held.name} is {held.state}; a new try is a new experiment")
        if Experiment.objects.filter(state=Experiment.State.RUNNING, tunable=held.tunable).exists():
            raise Refused(f"another experiment on {held.tunable} is running")
        held.state, held.started_at = Experiment.State.RUNNING, timezone.now()
        held.save(update_fields=["state", "started_at"])
        _record(held, "start", actor, reason)
    forget_known()
    return held


def stop(experiment: Experiment, *, actor: str, reason: str) -> Experiment:
    """End an experiment without a winner: everybody has the default again. Raises Refused where it does not run."""
    with transaction.atomic():
        held = _held(experiment)
        if held.state != Experiment.State.RUNNING:
            raise Refused(f"{held.name} is {held.state}")
        _end(held, Experiment.State.STOPPED)
        _record(held, "stop", actor, reason)
    forget_known()
    return held


def stop_variant(experiment: Experiment, variant: str, *, actor: str, reason: str) -> Experiment:
    """End one variant; its users have the control from now on, memories that it made keep it. The experiment ends with
    its last one."""
    with transaction.atomic():
        held = _held(experiment)
        if held.state != Experiment.State.RUNNING or variant in held.stopped or variant not in held.variants:
            return held
        held.stopped = {**held.stopped, variant: reason[:300]}
        held.save(update_fields=["stopped"])
        _record(held, "stop_variant", actor, reason, variant)
        if set(held.variants) - set(held.stopped) <= {held.control}:
            _end(held, Experiment.State.STOPPED)
            _record(held, "stop", actor, "no variant is left")
    forget_known()
    return held


def promote(experiment: Experiment, variant: str, *, actor: str, reason: str) -> TunedValue:
    """Make a variant what everybody has, end the experiment, and write the record. Raises Refused."""
    with transaction.atomic():
        held = _held(experiment)
        if held.state not in (Experiment.State.RUNNING, Experiment.State.STOPPED):
            raise Refused(f"{held.name} is {held.state}")
        if variant not in held.variants:
            raise Refused(f"{held.name} has no variant {variant!r}")
        if variant in held.stopped:
            raise Refused(f"{variant} was stopped: {held.stopped[variant]}")
        figures = analysis.analyse(held).figures()
        _end(held, Experiment.State.PROMOTED)
        try:
            made = apply(
                held.tunable, held.variants[variant], origin=f"experiment:{held.name}", why=reason, actor=actor,
                evidence=figures,
            )  # fmt: skip
        except BadValue as error:
            raise Refused(f"{variant} cannot be everybody's: {error}") from error
        _record(held, "promote", actor, reason, variant, figures)
    forget_known()
    return made


def roll_back(experiment: Experiment, *, actor: str, reason: str) -> Experiment:
    """Take back what the experiment made everybody's: what held before holds again. Raises Refused."""
    with transaction.atomic():
        held = _held(experiment)
        if held.state != Experiment.State.PROMOTED:
            raise Refused(f"{held.name} is {held.state}: nothing of it is in force")
        for row in TunedValue.objects.filter(origin=f"experiment:{held.name}", state=TunedValue.State.APPLIED):
            take_back(row)
        held.state = Experiment.State.ROLLED_BACK
        held.save(update_fields=["state"])
        _record(held, "roll_back", actor, reason)
    forget_known()
    return held


def apply(
    name: str, value: Any, *, origin: str, why: str, actor: str, uid: str = "", evidence: dict[str, Any] | None = None,
    before: dict[str, Any] | None = None, after: dict[str, Any] | None = None,
) -> TunedValue:  # fmt: skip
    """Put a value in force, with where it comes from. Raises BadValue for one out of bounds or without effect."""
    made = TunedValue.objects.create(
        name=name, uid=uid, value=effective(name, value), origin=origin, why=why[:500], evidence=evidence or {},
        before=before or {}, after=after or {}, actor=actor, at=timezone.now(),
    )  # fmt: skip
    forget_known()
    return made


def take_back(row: TunedValue) -> None:
    """The value is no longer in force; the row stays as the record of it."""
    TunedValue.objects.filter(pk=row.pk, state=TunedValue.State.APPLIED).update(
        state=TunedValue.State.ROLLED_BACK, ended_at=timezone.now()
    )
    forget_known()


def watch() -> list[str]:
    """Look at every running experiment: stop variants whose guardrails do not hold, and whole experiments whose groups
    have the wrong sizes. One sentence for each that was stopped."""
    told = []
    for experiment in Experiment.objects.filter(state=Experiment.State.RUNNING):
        found = analysis.analyse(experiment)
        if found.skewed:
            reason = f"the groups have the wrong sizes ({found.counts}): assignment or its record is broken"
            stop(experiment, actor=WATCH, reason=reason)
            told.append(f"{experiment.name}: {reason}")
            continue
        for name, verdict in found.verdicts.items():
            if verdict.broken:
                stop_variant(experiment, name, actor=WATCH, reason="; ".join(verdict.broken))
                told.append(f"{experiment.name}: {name} was stopped, {'; '.join(verdict.broken)}")
    for line in told:
        log.warning("experiment_stopped", what=line)
    return told


def record(subject: str, action: str, *, actor: str, reason: str, figures: dict[str, Any]) -> None:
    """The record of a decision that is no experiment's."""
    DecisionRecord.objects.create(
        subject=subject[:80], action=action, actor=actor, reason=reason[:500], figures=figures, at=timezone.now()
    )


def _held(experiment: Experiment) -> Experiment:
    return Experiment.objects.select_for_update().get(pk=experiment.pk)


def _end(held: Experiment, state: str) -> None:
    held.state, held.ended_at = state, timezone.now()
    held.save(update_fields=["state", "ended_at"])


def _record(
    held: Experiment, action: str, actor: str, reason: str, variant: str = "", figures: dict[str, Any] | None = None
) -> None:
    if figures is None and held.started_at is not None:
        figures = analysis.analyse(held).figures()
    DecisionRecord.objects.create(
        experiment=held, subject=held.name, action=action, variant=variant, actor=actor[:150], reason=reason[:500],
        figures=figures or {}, at=timezone.now(),
    )  # fmt: skip
