"""Failures grouped by fingerprint (step, vendor, failure id), kept up to date when a run fails.

Nothing is added up over runs when a page is shown: a failing run costs its group an UPDATE, the hour's counter another
and a row that names the run. Seven thousand failures of one kind are one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from memories.console.models import FailedRun, FailureGroup, FailureHour
from memories.pipeline import failure_catalogue
from memories.pipeline.models import PostProcessingRun, StepAttempt
from memories.pipeline.states import Kind
from omi.core.errors import Outcome
from omi.core.pruning import delete_in_pieces

HOURS: Final = 24
SHOWN: Final = 50
"""Groups on one page. There can be as many as steps times vendors times failure ids, in practice some dozens."""
NEW: Final = timedelta(hours=24)
REGRESSED: Final = timedelta(days=3)
ESCALATING_LEAST: Final = 10
"""Failures in the last two hours, at least, ..."""
ESCALATING_TIMES: Final = 3.0
"""... and as many times what the hours before would let one expect."""

COUNTED: Final = (
    Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT, Outcome.QUOTA, Outcome.CONFIG_ERROR, Outcome.INVALID_INPUT,
    Outcome.EMPTY_UNEXPECTED,
)  # fmt: skip
"""How a run may end that counts as a failure."""
CAUGHT_UP: Final = 500
IGNORED_AT_MOST: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Line:
    """One group as a page shows it. ``hours``: failures in each of the last 24 hours, oldest first."""

    group: FailureGroup
    state: str
    hours: list[int]
    message: failure_catalogue.Message

    @property
    def recent(self) -> int:
        return sum(self.hours)


# --- when a run fails ---


def on_run_failed(sender: Any, *, run_id: int, uid: str, step: str, vendor: str, message_id: str, **_: Any) -> None:
    """Receiver of ``memories.pipeline.failed_runs.run_failed``; runs inside of the transaction that ends the run."""
    count(run_id, uid, step=step, vendor=vendor or _last_vendor(run_id, step), message_id=message_id)


def count(
    run_id: int, uid: str, *, step: str, vendor: str, message_id: str, at: datetime | None = None
) -> FailureGroup | None:
    """Add a failed run to its group. None where it was counted already."""
    now = at or timezone.now()
    with transaction.atomic():
        group, _ = FailureGroup.objects.get_or_create(
            step=step[:32], vendor=vendor[:64], message_id=message_id[:64],
            defaults={"first_seen": now, "last_seen": now},
        )  # fmt: skip
        if FailedRun.objects.filter(pk=run_id).exists():
            return None
        known = FailedRun.objects.filter(group=group, uid=uid).exists()
        FailedRun.objects.create(run_id=run_id, group=group, uid=uid, at=now)
        values: dict[str, Any] = {"count": F("count") + 1}
        if not known:
            values["users"] = F("users") + 1
        rows = FailureGroup.objects.filter(pk=group.pk)
        rows.update(**values)
        rows.filter(last_seen__lt=now).update(last_seen=now)
        rows.filter(first_seen__gt=now).update(first_seen=now)
        _count_hour(group, now)
        _reopen(group.pk, now)
    return group


def _count_hour(group: FailureGroup, at: datetime) -> None:
    hour = at.replace(minute=0, second=0, microsecond=0)
    if not FailureHour.objects.filter(group=group, hour=hour).update(count=F("count") + 1):
        row, made = FailureHour.objects.get_or_create(group=group, hour=hour, defaults={"count": 1})
        if not made:
            FailureHour.objects.filter(pk=row.pk).update(count=F("count") + 1)


def _reopen(pk: int, now: datetime) -> None:
    """What was resolved and comes again has regressed; what was ignored is open again when its bound is reached."""
    rows = FailureGroup.objects.filter(pk=pk)
    rows.filter(status=FailureGroup.Status.RESOLVED, resolved_at__lt=now).update(
        status=FailureGroup.Status.OPEN, regressed_at=now, resolved_at=None
    )
    over = Q(ignored_until__lte=now) | Q(count__gte=F("ignored_count")) | Q(users__gte=F("ignored_users"))
    rows.filter(over, status=FailureGroup.Status.IGNORED).update(status=FailureGroup.Status.OPEN, **NOT_IGNORED)


NOT_IGNORED: Final[dict[str, Any]] = {"ignored_until": None, "ignored_count": None, "ignored_users": None}


def _last_vendor(run_id: int, step: str) -> str:
    """The vendor of the last attempt of the step, where the end itself does not name it."""
    attempts = StepAttempt.objects.filter(step__run=run_id, step__name=step).exclude(vendor="")
    return str(attempts.order_by("-id").values_list("vendor", flat=True).first() or "")


def catch_up(limit: int = CAUGHT_UP) -> int:
    """Count failed runs that are in no group: those of before the console, and those whose count failed. How many.

    A scheduled job. It looks at the newest runs of each kind and outcome, by their index, and never at all of them.
    """
    done = 0
    for kind in Kind.values:
        for outcome in COUNTED:
            ended = PostProcessingRun.objects.filter(kind=kind, outcome=outcome.value)
            newest = list(ended.order_by("-id").values_list("pk", flat=True)[:limit])
            missing = PostProcessingRun.objects.filter(pk__in=newest).exclude(
                Exists(FailedRun.objects.filter(run=OuterRef("pk")))
            )
            for run in missing:
                vendor = _last_vendor(run.pk, run.current_step)
                done += count(
                    run.pk, run.uid, step=run.current_step, vendor=vendor, message_id=run.message_id,
                    at=run.finished_at,
                ) is not None  # fmt: skip
    return done


def prune(now: datetime | None = None) -> int:
    """Delete hourly counters older than a month: no page shows them. How many."""
    old = FailureHour.objects.filter(hour__lt=(now or timezone.now()) - timedelta(days=31))
    return delete_in_pieces(old)


# --- what pages show ---


def lines(*, statuses: Iterable[str] = (FailureGroup.Status.OPEN,), limit: int = SHOWN) -> list[Line]:
    """Groups with one of ``statuses``, the last to have failed first. Two queries, whatever there is."""
    return _lines(list(of_status(statuses).order_by("-last_seen")[:limit]))


def of_status(statuses: Iterable[str]) -> QuerySet[FailureGroup]:
    """Groups with one of ``statuses``. What was ignored until a day that has come is open, though no run failed since
    and its row still says ignored."""
    wanted = set(statuses)
    over = Q(status=FailureGroup.Status.IGNORED, ignored_until__lte=timezone.now())
    chosen = Q(status__in=wanted) & ~over if FailureGroup.Status.IGNORED in wanted else Q(status__in=wanted)
    return FailureGroup.objects.filter(chosen | over if FailureGroup.Status.OPEN in wanted else chosen)


def line(pk: int) -> Line | None:
    """One group, or None."""
    return next(iter(_lines(list(FailureGroup.objects.filter(pk=pk)))), None)


def _lines(groups: list[FailureGroup]) -> list[Line]:
    now = timezone.now()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    first = this_hour - timedelta(hours=HOURS - 1)
    counted: dict[int, list[int]] = {group.pk: [0] * HOURS for group in groups}
    rows = FailureHour.objects.filter(group__in=groups, hour__gte=first)
    for group_id, hour, number in rows.values_list("group_id", "hour", "count"):
        at = int((hour - first).total_seconds() // 3600)
        if 0 <= at < HOURS:
            counted[group_id][at] = number
    return [
        Line(group, state_of(group, counted[group.pk], now), counted[group.pk], failure_catalogue.get(group.message_id))
        for group in groups
    ]


def state_of(group: FailureGroup, hours: list[int], now: datetime) -> str:
    """Return ``resolved``, ``ignored``, ``escalating``, ``regressed``, ``new`` or ``ongoing``, the first that holds."""
    if group.status == FailureGroup.Status.RESOLVED:
        return "resolved"
    if group.status == FailureGroup.Status.IGNORED and not (group.ignored_until and group.ignored_until <= now):
        return "ignored"
    lately, before = sum(hours[-2:]), sum(hours[:-2])
    if lately >= ESCALATING_LEAST and before and lately > ESCALATING_TIMES * 2 * before / (len(hours) - 2):
        return "escalating"
    if group.regressed_at and group.regressed_at > now - REGRESSED:
        return "regressed"
    return "new" if group.first_seen > now - NEW else "ongoing"


# --- what staff decide ---


def ignore(
    group: FailureGroup, *, until: datetime | None = None, more: int | None = None, more_users: int | None = None
) -> None:
    """Leave the group out of the list until a moment, for ``more`` failures, or for as many more users: whichever comes
    first. Raises ValueError without a bound, because nothing is ignored for ever, and for a moment that has passed."""
    if until is None and not more and not more_users:
        raise ValueError("say until which day it is ignored, or for how many more failures or users")
    if until is not None and not timezone.now() < until <= timezone.now() + IGNORED_AT_MOST:
        raise ValueError(f"the day must lie ahead, and within {IGNORED_AT_MOST.days} days")
    group.refresh_from_db()
    FailureGroup.objects.filter(pk=group.pk).update(
        status=FailureGroup.Status.IGNORED,
        ignored_until=until,
        ignored_count=group.count + more if more else None,
        ignored_users=group.users + more_users if more_users else None,
    )


def resolve(group: FailureGroup) -> None:
    """Say that the cause is gone. The next failure of this kind opens the group again, as regressed."""
    FailureGroup.objects.filter(pk=group.pk).update(
        status=FailureGroup.Status.RESOLVED, resolved_at=timezone.now(), regressed_at=None, **NOT_IGNORED
    )


def reopen(group: FailureGroup) -> None:
    """Show the group among what needs a human again."""
    FailureGroup.objects.filter(pk=group.pk).update(status=FailureGroup.Status.OPEN, resolved_at=None, **NOT_IGNORED)


def assign(group: FailureGroup, *, owner: str, note: str) -> None:
    """Write down who looks after the group, and what they know."""
    FailureGroup.objects.filter(pk=group.pk).update(owner=owner[:150], note=note[:500])
