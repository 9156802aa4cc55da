"""Blind pairwise rating: two results of one memory, in an order that the rater cannot know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from memories.experiments.assigning import share_of
from memories.experiments.models import Experiment, Rating, ShadowResult
from memories.experiments.shadow import body_of

CHOICES: Final = {"a": "A is better", "b": "B is better", "same": "As good as each other", "bad": "Both are bad"}
PER_RESULT: Final = 3
"""Raters that one pair is shown to at most."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two results that a person compares blind. ``first`` and ``second`` are what is shown as A and B."""

    result: ShadowResult
    first: Any
    second: Any


def next_pair(experiment: Experiment, rater: str) -> Pair | None:
    """The next pair that this person has not rated, the ones with the fewest ratings first; None where all are."""
    rows = ShadowResult.objects.filter(experiment=experiment, state=ShadowResult.State.DONE)
    mine = Rating.objects.filter(rater=rater, result__experiment=experiment).values("result")
    waiting = rows.exclude(pk__in=mine).exclude(variant__in=list(experiment.stopped))
    found = waiting.annotate(rated=Count("ratings")).filter(rated__lt=PER_RESULT).order_by("rated", "id").first()
    return None if found is None else pair_of(found, rater)


def left(experiment: Experiment, rater: str) -> int:
    """How many pairs this person may still rate."""
    mine = Rating.objects.filter(rater=rater, result__experiment=experiment).values("result")
    rows = ShadowResult.objects.filter(experiment=experiment, state=ShadowResult.State.DONE).exclude(pk__in=mine)
    waiting = rows.exclude(variant__in=list(experiment.stopped)).annotate(rated=Count("ratings"))
    return int(waiting.filter(rated__lt=PER_RESULT).count())


def pair_of(result: ShadowResult, rater: str) -> Pair:
    """A and B for this rater: who is which follows from both, and is told by nothing on the page."""
    body = body_of(result)
    made = [body.get("control"), body.get("variant")]
    first, second = made if _control_first(result, rater) else reversed(made)
    return Pair(result, first, second)


def rate(result: ShadowResult, rater: str, choice: str) -> Rating:
    """Keep the choice; a second one of the same person changes nothing. Raises KeyError for an unknown choice."""
    chosen = {"a": 0.0, "b": 1.0, "same": 0.5, "bad": 0.5}[choice]
    if not _control_first(result, rater):
        chosen = 1.0 - chosen
    with transaction.atomic():
        made, _ = Rating.objects.get_or_create(
            result=result, rater=rater,
            defaults={"value": chosen, "both_bad": choice == "bad", "at": timezone.now()},
        )  # fmt: skip
    return made


def _control_first(result: ShadowResult, rater: str) -> bool:
    return share_of("order", str(result.pk), rater) < 0.5
