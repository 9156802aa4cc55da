"""Everything that was made with something since a day, to be done anew: what it takes, and the doing, a few at a time.

The registry says what was made with what (``memories.registry``). An incident's replay takes a ``Selection`` and its
forecast as this module gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from django.db.models import Avg
from django.utils import timezone

from memories.pipeline import queries, service
from memories.pipeline.engine import plans
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.operations.dry_run import OPERATIONS, RECENT
from memories.pipeline.states import Kind, State
from memories.registry import records
from memories.registry.models import MadeWith
from memories.repository import memories as repository
from omi.core import providers
from omi.stores import audio

FROM: Final = {
    "transcript": (Kind.POSTPROCESS, "transcribe"), "speakers": (Kind.POSTPROCESS, "identify_speakers"),
    "structure": (Kind.REPROCESS, "structure"), "sections": (Kind.REPROCESS, "structure"),
    "index": (Kind.REPROCESS, "index"),
    "emotions": (Kind.POSTPROCESS, "emotions"),
}  # fmt: skip
"""Kind of run and first step that makes a part anew."""
LOOKED_AT: Final = 500
"""Memories of which it is looked up whether they can be done anew; of more the share is taken for all."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to be done anew: the registry's conditions, and the time in which it was made."""

    made_with: Mapping[str, str]
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """One memory, and the run that would do it anew; ``follows`` None: there is nothing to follow."""

    uid: str
    memory_id: str
    kind: str
    from_step: str
    follows: int | None


@dataclass(slots=True)
class SelectionForecast:
    """What doing a selection anew would take: ``count`` memories, of which about ``impossible`` cannot be done anew (no
    recording, gone). ``seconds`` of workers' time and US dollars for the rest, from what this installation did lately;
    ``unknown``: steps that nobody has paid yet."""

    count: int = 0
    impossible: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    unknown: list[str] = field(default_factory=list)
    by_part: dict[str, int] = field(default_factory=dict)


def chosen(selection: Selection) -> Iterator[Chosen]:
    """Every memory of the selection once, with the run from the earliest step that any of its parts needs. Raises
    UnknownCondition."""
    seen: set[tuple[str, str]] = set()
    for row in records.selected(selection.made_with, selection.since, selection.until).iterator():
        if (row.uid, row.memory_id) not in seen:
            seen.add((row.uid, row.memory_id))
            yield _of(row)


def _of(row: MadeWith) -> Chosen:
    kind, step = FROM[row.part]
    follows = queries.latest_run(row.uid, row.memory_id, kind)
    return Chosen(row.uid, row.memory_id, kind, step, follows.pk if follows is not None else None)


def forecast(selection: Selection) -> SelectionForecast:
    """Return what doing the selection anew would take: counts, seconds, cost. Raises UnknownCondition."""
    made = SelectionForecast()
    looked = 0
    for row in records.selected(selection.made_with, selection.since, selection.until).iterator():
        made.count += 1
        made.by_part[row.part] = made.by_part.get(row.part, 0) + 1
        if looked < LOOKED_AT:
            looked += 1
            made.impossible += why_not(_of(row)) != ""
    possible_share = 1 - made.impossible / looked if looked else 1.0
    made.impossible = made.count - round(possible_share * made.count)
    usual = queries.step_seconds(None)
    for part, count in made.by_part.items():
        kind, first = FROM[part]
        plan = list(plans.PLANS[kind])
        for step in plan[plan.index(first) :]:
            made.seconds += possible_share * count * usual.get(step, 1.0)
            price = _price(step)
            if price is None and step not in made.unknown:
                made.unknown.append(step)
            made.cost += possible_share * count * (price or 0.0)
    return made


def _followed(item: Chosen) -> PostProcessingRun | None:
    return None if item.follows is None else PostProcessingRun.objects.filter(pk=item.follows).first()


def why_not(item: Chosen) -> str:
    """Why the memory cannot be done anew; "" where it can."""
    try:
        repository.require(item.uid, item.memory_id)
    except repository.MemoryNotFound:
        return "the memory is gone"
    if item.kind != Kind.POSTPROCESS:
        return ""
    follows = _followed(item)
    try:
        audio.get(follows.audio if follows is not None else "")
    except LookupError:
        return "there is no recording"
    return ""


def start(item: Chosen, *, actor: str, reason: str) -> PostProcessingRun | None:
    """Begin the run; None where one of the memory is at work already. An unknown memory raises MemoryNotFound."""
    follows = _followed(item)
    unfinished = PostProcessingRun.objects.filter(uid=item.uid, memory_id=item.memory_id).exclude(state=State.FINISHED)
    if unfinished.exists():
        return None
    return service.start(
        item.kind, item.uid, item.memory_id, actor=actor, reason=reason, from_step=item.from_step, follows=follows,
        options=dict(follows.options) if follows is not None else {},
    )  # fmt: skip


def _price(step: str) -> float | None:
    """US dollars that the step cost lately on average; 0 where nobody is paid, None where nobody has been yet."""
    if step not in OPERATIONS:
        return 0.0
    port = {"transcribe": "prerecorded", "structure": "structurer", "index": "embedder", "emotions": "emotions"}[step]
    first = providers.many(port)[0]
    if not bool(getattr(getattr(first, "capabilities", first), "remote", False)):
        return 0.0
    calls = VendorCall.objects.filter(
        operation=OPERATIONS[step], outcome="success", cost__gt=0, started_at__gt=timezone.now() - timedelta(days=90)
    )
    newest = list(calls.order_by("-id").values_list("pk", flat=True)[:RECENT])
    mean = VendorCall.objects.filter(pk__in=newest).aggregate(mean=Avg("cost"))["mean"]
    return None if mean is None else float(mean)


def lines(made: SelectionForecast) -> list[str]:
    """Return the forecast of a selection as lines for the terminal."""
    parts = ", ".join(f"{count} {part}" for part, count in sorted(made.by_part.items()))
    more = f", and what {', '.join(made.unknown)} costs, which nobody has paid here yet" if made.unknown else ""
    return [
        f"{made.count} parts ({parts or 'none'}); about {made.impossible} cannot be done anew (no recording, or gone)",
        f"about {made.seconds:.0f} s of workers' time, {made.cost:.4f} ${more}",
    ]
