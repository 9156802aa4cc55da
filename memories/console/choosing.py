"""What a replay takes: failed runs of groups, or everything that was made with something. And what that would cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from django.db.models import Count, QuerySet

from memories.console.models import FailedRun, ReplayItem
from memories.pipeline import queries, selection, service
from memories.pipeline.engine.results import RunCanceled
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.operations import dry_run
from memories.registry import records
from memories.repository import memories as repository
from omi.core.errors import ProviderError
from omi.stores.documents.base import DocumentError

MOST: Final = 10_000
"""Runs of one replay of failures."""
MOST_SELECTED: Final = 2000
"""Memories of one replay of what was made with something: each is looked up by itself."""
SAMPLE: Final = 5
"""Runs whose forecast the expected cost of all is made from."""


class Refused(Exception):
    """The replay cannot be made or changed so; the text says why, in a sentence for staff."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a replay would do. ``cost`` in US dollars, from ``sampled`` forecasts; ``unknown``: steps whose cost nobody
    has paid here yet."""

    runs: int
    users: int
    cost: float
    sampled: int
    unknown: tuple[str, ...]
    warnings: tuple[str, ...]
    too_many: bool


def chosen(group_ids: list[int], since: datetime, until: datetime) -> QuerySet[FailedRun]:
    """Failed runs of these groups in this time that nobody has done anew. Raises Refused without a group."""
    if not group_ids:
        raise Refused("Choose at least one group of failures: a replay of everything is never meant.")
    if until <= since:
        raise Refused("The end of the time lies before its beginning.")
    return FailedRun.objects.filter(
        group__in=group_ids, at__gte=since, at__lt=until, run__followed_by=None
    ).order_by("pk")  # fmt: skip


def preview(
    group_ids: list[int], since: datetime, until: datetime, *, made_with: Mapping[str, str] | None = None
) -> Preview:
    """Count who is affected, and forecast what it would cost; nothing is changed."""
    if made_with:
        return _preview_of(selected(group_ids, made_with, since, until))
    rows = chosen(group_ids, since, until)
    counted = rows.order_by().aggregate(runs=Count("pk"), users=Count("uid", distinct=True))
    sample = list(rows.select_related("run")[:SAMPLE])
    costs: list[float] = []
    unknown: set[str] = set()
    warnings: set[str] = set()
    for failed in sample:
        run = failed.run
        try:
            made = dry_run.forecast(run.uid, run.memory_id, run.kind, run, None)
        except (ProviderError, DocumentError, ValueError, RunCanceled):
            continue  # gone meanwhile, or not readable now: when its turn comes it is skipped with that reason
        costs.append(made.cost)
        unknown.update(made.unknown)
        warnings.update(made.warnings)
    mean = sum(costs) / len(costs) if costs else 0.0
    return Preview(
        counted["runs"], counted["users"], mean * counted["runs"], len(costs), tuple(sorted(unknown)),
        tuple(sorted(warnings)), counted["runs"] > MOST,
    )  # fmt: skip


def selected(
    group_ids: list[int], made_with: Mapping[str, str], since: datetime, until: datetime
) -> selection.Selection:
    """Everything made with this in this time. Raises Refused, also where failures are chosen, too."""
    if group_ids:
        raise Refused("Choose failures, or what something was made with: not both.")
    if until <= since:
        raise Refused("The end of the time lies before its beginning.")
    return selection.Selection(dict(made_with), since, until)


def _preview_of(of: selection.Selection) -> Preview:
    memories, users = counted(of)
    seen = selection.forecast(of)
    gone = f"About {seen.impossible} cannot be made anew: their recording, or the memory, is gone."
    return Preview(
        memories, users, seen.cost, 0, tuple(sorted(seen.unknown)), (gone,) if seen.impossible else (),
        memories > MOST_SELECTED,
    )  # fmt: skip


def asked(text: str) -> dict[str, str]:
    """Parse ``provider=deepgram model=nova-3`` as conditions. Raises UnknownCondition."""
    pairs = [pair.partition("=") for pair in text.split()]
    if any(not equals or not value for _, equals, value in pairs):
        raise records.UnknownCondition("write conditions as NAME=VALUE, with blanks between them")
    made_with = {name: value for name, _, value in pairs}
    if set(made_with) - set(records.CONDITIONS):
        raise records.UnknownCondition(f"a selection names at least one of {', '.join(records.CONDITIONS)}")
    return made_with


def told(made_with: Mapping[str, str]) -> str:
    """The conditions as staff reads them."""
    return "made with " + ", ".join(f"{name} {value}" for name, value in sorted(made_with.items()))


def counted(of: selection.Selection) -> tuple[int, int]:
    """Memories and users. Raises UnknownCondition."""
    rows = records.selected(of.made_with, of.since, of.until).order_by()
    users = rows.values("uid").distinct().count()
    return rows.values("uid", "memory_id").distinct().count(), users


def items(of: selection.Selection) -> Iterator[tuple[ReplayItem, str]]:
    """An item, not stored yet, for each memory that has a run left, and its user; at most ``MOST_SELECTED``."""
    for found in islice(selection.chosen(of), MOST_SELECTED):
        run = found.follows or _newest(found)
        if run is not None:
            yield ReplayItem(run_id=run, kind=found.kind, from_step=found.from_step), found.uid


def start(
    item: ReplayItem, of: selection.Selection, *, actor: str, reason: str
) -> tuple[PostProcessingRun | None, str]:
    """Begin the item's run inside of a transaction; without one, why not."""
    run = item.run
    follows = queries.latest_run(run.uid, run.memory_id, item.kind)
    found = selection.Chosen(
        run.uid, run.memory_id, item.kind, item.from_step, follows.pk if follows is not None else None
    )
    rows = records.selected(of.made_with, of.since, of.until).filter(uid=run.uid, memory_id=run.memory_id)
    if not rows.exists():
        return None, "it has been made anew already"
    if problem := selection.why_not(found):
        return None, problem
    try:
        made = selection.start(found, actor=actor, reason=reason)
    except (service.PipelineError, repository.MemoryNotFound) as error:
        return None, str(error)
    return made, "" if made is not None else "a run of it is at work"


def _newest(found: selection.Chosen) -> int | None:
    rows = PostProcessingRun.objects.filter(uid=found.uid, memory_id=found.memory_id)
    newest: int | None = rows.order_by("-id").values_list("pk", flat=True).first()
    return newest


def rows(
    group_ids: list[int], since: datetime, until: datetime, made_with: Mapping[str, str]
) -> list[tuple[ReplayItem, str]]:
    """An item, not stored yet, for each run that a replay takes, and its user. Raises Refused where there is none."""
    if made_with:
        found = list(items(selected(group_ids, made_with, since, until)))
        if not found:
            raise Refused("Nothing of which a run is left was made with this in this time.")
        return found
    failed = chosen(group_ids, since, until).values_list("run_id", "uid")[: MOST + 1]
    if not failed:
        raise Refused("No failed run fits that nobody has done anew.")
    return [(ReplayItem(run_id=run_id), uid) for run_id, uid in failed]
