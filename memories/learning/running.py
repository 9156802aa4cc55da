"""Learning as a whole: proposals are judged, applied with their record, and taken back where they do harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.conf import settings
from django.utils import timezone

from memories.experiments import deciding
from memories.experiments.models import Experiment, TunedValue
from memories.experiments.tunables import BadValue, checked
from memories.feedback.models import LabelledCase
from memories.learning import rules, vendors, voices, words
from memories.learning.learner import Learner, Proposal
from omi.accounts.users import get_user
from speakers.models import SpeakerDecision

log = structlog.get_logger(__name__)

LEARNERS: Final[tuple[Learner, ...]] = (
    words.Words(), voices.Samples(), voices.Calibration(), vendors.Order(), vendors.Weights(), rules.NeverWorse(),
    rules.Discards(),
)  # fmt: skip
USERS_A_TURN: Final = 500
"""Users that one turn looks at: those whose corrections are newest."""
ACTOR: Final = "learning"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a proposal, or of a value in force. ``done``: applied, would apply, refused, rolled back, or
    would roll back."""

    learner: str
    done: str
    uid: str
    why: str

    @property
    def line(self) -> str:
        return f"{self.done}: {self.learner} for {self.uid or 'everybody'}: {self.why}"


def learn(*, dry_run: bool = False, only: str = "", uid: str = "") -> list[Outcome]:
    """One turn: first take back what did harm, then apply what is better. ``dry_run`` changes nothing."""
    chosen = [learner for learner in LEARNERS if only in ("", learner.name)]
    if not settings.OMI_LEARNING and not dry_run:
        return []
    told = [outcome for learner in chosen for outcome in _harmful(learner, dry_run)]
    back = {(outcome.learner, outcome.uid) for outcome in told}
    for learner in chosen:
        for one in _users(uid) if learner.for_one else [""]:
            if (learner.name, one) not in back and (not one or get_user(one).improvement.learning):
                told += [_judged(learner, proposal, dry_run) for proposal in learner.proposals(one)]
    for outcome in told:
        log.info("learning", learner=outcome.learner, done=outcome.done, uid=outcome.uid)
    return told


def _judged(learner: Learner, proposal: Proposal, dry_run: bool) -> Outcome:
    figures = f"{proposal.before:.3f} before, {proposal.after:.3f} after on {proposal.held_out} cases held out"
    why = f"{proposal.why}; {figures}; {proposal.now!r} becomes {proposal.value!r}"
    if (refused := _refused(proposal)) is not None:
        return Outcome(learner.name, "refused", proposal.uid, f"{refused}; {why}")
    if dry_run:
        return Outcome(learner.name, "would apply", proposal.uid, why)
    learner.apply(proposal)
    deciding.apply(
        proposal.name, proposal.value, uid=proposal.uid, origin=f"learner:{learner.name}", why=proposal.why,
        actor=ACTOR, evidence=proposal.evidence,
        before={"figure": proposal.before, "value": proposal.now, "cases": proposal.held_out},
        after={"figure": proposal.after, "cases": proposal.held_out},
    )  # fmt: skip
    _recorded(learner, "apply", proposal.uid, proposal.why, {"before": proposal.before, "after": proposal.after})
    return Outcome(learner.name, "applied", proposal.uid, why)


def _refused(proposal: Proposal) -> str | None:
    """Why the proposal is not put in force; None: it may be."""
    if not proposal.better:
        return "no better on the cases held out"
    try:
        checked(proposal.name, proposal.value)
    except BadValue as error:
        return f"out of bounds: {error}"
    if Experiment.objects.filter(state=Experiment.State.RUNNING, tunable=proposal.name).exists():
        return "an experiment on it is running"
    before = TunedValue.objects.filter(
        name=proposal.name, uid=proposal.uid, state=TunedValue.State.ROLLED_BACK, origin=f"learner:{proposal.learner}"
    )
    if any(row.value == proposal.value for row in before):
        return "the same was taken back before"
    return None


def _harmful(learner: Learner, dry_run: bool) -> Iterator[Outcome]:
    rows = TunedValue.objects.filter(origin=f"learner:{learner.name}", state=TunedValue.State.APPLIED)
    for row in rows.order_by("-id")[:USERS_A_TURN]:
        off = bool(row.uid) and not get_user(row.uid).improvement.learning
        reason = "the user switched learning off" if off else learner.harm(row)
        if not reason:
            continue
        if not dry_run:
            roll_back(row, actor=ACTOR, reason=reason)
        yield Outcome(learner.name, "would roll back" if dry_run else "rolled back", row.uid, reason)


def roll_back(row: TunedValue, *, actor: str, reason: str) -> None:
    """Undo one learned value; what held before holds again. The same is not learned a second time."""
    learner = next(item for item in LEARNERS if row.origin == f"learner:{item.name}")
    deciding.take_back(row)
    learner.take_back(row)
    deciding.record(f"learner:{learner.name}", "roll_back", actor=actor, reason=reason, figures={"value": row.pk})


def _users(uid: str) -> list[str]:
    if uid:
        return [uid]
    newest = LabelledCase.objects.order_by("-created_at").values_list("uid", flat=True)[: 20 * USERS_A_TURN]
    manual = SpeakerDecision.objects.filter(manual=True).order_by("-id").values_list("uid", flat=True)
    return list(dict.fromkeys([*newest, *manual[: 20 * USERS_A_TURN]]))[:USERS_A_TURN]


def _recorded(learner: Learner, action: str, uid: str, reason: str, figures: dict[str, Any]) -> None:
    """Decisions about everybody stand in the record; those about one user in that user's own rows alone."""
    if not uid:
        deciding.record(f"learner:{learner.name}", action, actor=ACTOR, reason=reason, figures=figures)


def since_switched_off() -> int:
    """Take back all learned values where ``OMI_LEARNING`` is off; returns how many."""
    rows = list(TunedValue.objects.filter(origin__startswith="learner:", state=TunedValue.State.APPLIED))
    for row in rows:
        roll_back(row, actor=ACTOR, reason=f"OMI_LEARNING was switched off, {timezone.now():%Y-%m-%d}")
    return len(rows)
