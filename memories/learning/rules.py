"""Bounds of rules for everybody, from shared cases: when a new transcript is good enough, and what is small change."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.utils import timezone

from memories.experiments.models import TunedValue
from memories.feedback.models import LabelledCase, Part, Report
from memories.learning.learner import ByName, Point, Proposal, threshold_proposal
from memories.mirror.models import MemoryRow
from memories.pipeline.models import RunStep
from memories.pipeline.rules import acceptance
from memories.pipeline.states import StepState
from memories.repository import memories as repository
from memories.structuring.discard import MIN_CONTENT_WORDS, content_words
from omi.accounts.users import get_user
from omi.core import tuned

LEAST_RATED: Final = 40
LEAST_RESTORED: Final = 20
MOST: Final = 2000
LEFT: Final = 500
LEFT_FOR: Final = timedelta(days=14)


class NeverWorse(ByName):
    """Learns how much shorter a new transcript may be than the one it replaces."""

    name = "never_worse"
    for_one = False

    def proposals(self, uid: str) -> Iterator[Proposal]:
        """The shortest new transcript, against the shown one, that may replace it, from thumbs on transcripts."""
        bounds = tuned.value("never_worse", {}, uid="")
        now = float(bounds.get("length_ratio", acceptance.LENGTH_RATIO))
        yield from threshold_proposal(
            rated(), [0.7, 0.75, 0.8, 0.85, 0.9, 0.95], now, learner=self.name, name="never_worse", least=LEAST_RATED,
            wrong=2.0, told="thumbs on replaced transcripts", value=lambda chosen: {**bounds, "length_ratio": chosen},
        )  # fmt: skip

    def harm(self, row: TunedValue) -> str:
        bound = float(row.value["length_ratio"])
        since = [point for point in rated(since=row) if point.value >= bound]
        bad = sum(not point.passes for point in since)
        return (
            f"{bad} of {len(since)} replaced transcripts were judged bad since"
            if bad >= 5 and 2 * bad > len(since)
            else ""
        )


def rated(since: TunedValue | None = None) -> list[Point]:
    """Return transcripts that replaced another one, with how long they were against it, and whether users found them
    good."""
    rows = Report.objects.filter(part=Part.TRANSCRIPT).exclude(thumb=0)
    rows = rows.filter(created_at__gt=since.at) if since is not None else rows
    found = []
    for row in rows.order_by("-created_at")[:MOST]:
        step = RunStep.objects.filter(
            run__uid=row.uid, run__memory_id=row.memory_id, name="assess", state=StepState.DONE, output__accepted=True
        ).order_by("-id").first()  # fmt: skip
        ratio = float((step.output.get("figures") or {}).get("length_ratio") or 0.0) if step is not None else 0.0
        if ratio and get_user(row.uid).improvement.cases:
            found.append(Point(ratio, row.thumb > 0, row.memory_id))
    return found


class Discards(ByName):
    """Learns with how few different words a talk is discarded."""

    name = "discard"
    for_one = False

    def proposals(self, uid: str) -> Iterator[Proposal]:
        """Propose with how few different words a talk is small change, from talks that users fetched back and those
        that they left. A talk that is lost costs more than one that is kept for nothing."""
        now = float(tuned.value("discard_below", MIN_CONTENT_WORDS, uid=""))
        yield from threshold_proposal(
            judged_talks(), [2.0, 3.0, 4.0, 5.0, 6.0], now, learner=self.name, name="discard_below",
            least=LEAST_RESTORED, wrong=0.2, told="discarded talks that were fetched back, or left", value=int,
        )  # fmt: skip

    def harm(self, row: TunedValue) -> str:
        since = [point for point in judged_talks(since=row) if point.passes and point.value < float(row.value)]
        return f"{len(since)} talks were fetched back since" if len(since) >= 5 else ""


def judged_talks(since: TunedValue | None = None) -> list[Point]:
    """Discarded talks by their different words that mean something; those pass that a user fetched back."""
    rows = LabelledCase.objects.filter(part=Part.SUMMARY, cause="discarded", shared=True)
    rows = rows.filter(created_at__gt=since.at) if since is not None else rows
    found = []
    for row in rows.order_by("-created_at")[:MOST]:
        try:
            memory = repository.get_memory(row.uid, row.memory_id)
        except repository.MemoryNotFound:
            continue
        wanted = row.person.get("discarded") is False
        found.append(Point(float(len(content_words(memory.transcript_segments))), wanted, row.memory_id))
    return found + _left(found) if since is None else found


def _left(fetched: list[Point]) -> list[Point]:
    """Discarded talks that nobody fetched back for ``LEFT_FOR``, of users who share cases."""
    known = {point.key for point in fetched}
    rows = MemoryRow.objects.filter(discarded=True, created_at__lt=timezone.now() - LEFT_FOR).order_by("-created_at")
    found = []
    for row in rows[:LEFT]:
        memory = repository.find_memory(row.uid, row.memory_id) if row.memory_id not in known else None
        if memory is not None and memory.discarded and get_user(row.uid).improvement.cases:
            found.append(Point(float(len(content_words(memory.transcript_segments))), False, row.memory_id))
    return found
