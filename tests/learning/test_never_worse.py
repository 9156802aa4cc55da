"""What is learned of the bounds of never worse: from thumbs of users who share them, judged on what was held out, with
its record, and taken back where replaced transcripts are judged bad all the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from memories.experiments.models import DecisionRecord, TunedValue
from memories.feedback.models import Part, Report
from memories.learning import running
from memories.pipeline.models import PostProcessingRun, RunStep
from memories.pipeline.rules import acceptance
from memories.pipeline.states import StepState
from omi.accounts.users import update_user
from omi.core import tuned

pytestmark = pytest.mark.django_db
SHIPPED = {"length_ratio": acceptance.LENGTH_RATIO}


def rated(number: int, ratio: float, thumb: int, *, uid: str = "ann", accepted: bool = True) -> None:
    """A transcript that replaced the shown one (or was not put over it), of so much of its length, and its thumb."""
    run = PostProcessingRun.objects.create(
        uid=uid, memory_id=f"m{number}", kind="postprocess", state="finished", outcome="success", actor="test", plan=[],
        finished_at=timezone.now(),
    )  # fmt: skip
    output = {"accepted": accepted, "figures": {"length_ratio": ratio}}
    RunStep.objects.create(run=run, name="assess", position=1, state=StepState.DONE, outcome="success", output=output)
    now = timezone.now()
    Report.objects.create(
        id=f"r-{uid}-{number}", uid=uid, key=f"k{number}", memory_id=f"m{number}", part=Part.TRANSCRIPT, thumb=thumb,
        created_at=now, expires_at=now + timedelta(days=9),
    )  # fmt: skip


def outcomes(*, dry_run: bool = False) -> dict[str, str]:
    return {outcome.learner: outcome.done for outcome in running.learn(only="never_worse", dry_run=dry_run)}


def in_force() -> dict[str, float]:
    return dict(tuned.value("never_worse", SHIPPED, uid="somebody"))


def short_ones_are_bad(uid: str = "ann", *, first: int = 0) -> None:
    """Sixty thumbs: down for what kept less than 0.9 of the length, up for the rest."""
    for number in range(first, first + 60):
        ratio = (0.86, 0.93, 1.02)[number % 3]
        rated(number, ratio, 1 if ratio >= 0.9 else -1, uid=uid)


def share(uid: str = "ann") -> None:
    update_user(uid, improvement={"cases": True, "learning": True, "shadow": False})


def test_a_stricter_bound_is_learned_with_its_figures_and_its_record() -> None:
    share()
    short_ones_are_bad()
    assert outcomes(dry_run=True) == {"never_worse": "would apply"}
    assert in_force() == SHIPPED
    assert outcomes() == {"never_worse": "applied"}
    assert in_force() == {"length_ratio": 0.9}
    row = TunedValue.objects.get()
    assert (row.uid, row.origin, row.evidence["points"]) == ("", "learner:never_worse", 60)
    assert row.before["figure"] < row.after["figure"] == 1.0
    assert row.before["cases"] == row.after["cases"] > 10
    assert DecisionRecord.objects.get().subject == "learner:never_worse"
    assert outcomes() == {}


def test_what_users_keep_to_themselves_and_what_replaced_nothing_teaches_nobody() -> None:
    short_ones_are_bad("bob")  # permits no cases
    assert outcomes() == {}
    share()
    for number in range(100, 160):
        rated(number, 0.86, -1, accepted=False)
    for number in range(200, 220):
        rated(number, 0.86, -1)
    assert outcomes() == {}  # too few, and none that is good
    assert in_force() == SHIPPED


def test_it_is_taken_back_where_replaced_transcripts_are_bad_all_the_same_and_not_learned_again() -> None:
    share()
    short_ones_are_bad()
    outcomes()
    for number in range(300, 306):
        rated(number, 0.95, -1)
    assert outcomes() == {"never_worse": "rolled back"}
    assert in_force() == SHIPPED
    assert list(DecisionRecord.objects.order_by("id").values_list("action", flat=True)) == ["apply", "roll_back"]
    row = TunedValue.objects.get()
    assert row.state == TunedValue.State.ROLLED_BACK
    assert outcomes().get("never_worse") != "applied" or in_force() != {"length_ratio": 0.9}


def test_a_deployment_that_learns_nothing_has_the_shipped_bounds(settings: object) -> None:
    share()
    short_ones_are_bad()
    outcomes()
    settings.OMI_LEARNING = False  # type: ignore[attr-defined]
    assert running.since_switched_off() == 1
    assert in_force() == SHIPPED
    assert outcomes() == {}


def test_one_command_takes_it_back() -> None:
    share()
    short_ones_are_bad()
    outcomes()
    call_command("learn", rollback=TunedValue.objects.get().pk, reason="too strict")
    assert in_force() == SHIPPED
    assert outcomes() == {"never_worse": "refused"}
