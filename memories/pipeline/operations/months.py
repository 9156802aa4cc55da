"""What vendors were asked for and paid, by month: the figures of calls that stay when the calls themselves go."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import TruncMonth

from memories.pipeline.models import FigureTotal, MonthlyCallFigures

SUMS = ("calls", "duplicates", "audio_seconds", "cost")


@dataclass(frozen=True, slots=True)
class Month:
    """One vendor in one month, its operations together. ``month`` is None for all that was counted before the months
    were: what the totals hold beyond them."""

    month: date | None
    vendor: str
    calls: int
    audio_seconds: float
    cost: float


def add(calls: QuerySet[Any]) -> None:
    """Add the figures of ``calls`` to those of their months, in the transaction that adds them to the totals and that
    nobody else has at that time."""
    by_month = calls.order_by().annotate(month=TruncMonth("started_at", tzinfo=UTC))
    groups = by_month.values("month", "vendor", "operation", "outcome")
    for row in groups.annotate(
        found=Count("id"), twice=Count("id", filter=Q(duplicate=True)), seconds=Sum("audio_seconds"), price=Sum("cost")
    ):
        kept, _ = MonthlyCallFigures.objects.get_or_create(
            month=row["month"].date(), vendor=row["vendor"], operation=row["operation"],
            outcome=row["outcome"] or "unknown",
        )  # fmt: skip
        values = (row["found"], row["twice"], row["seconds"] or 0.0, row["price"] or 0.0)
        more = {name: F(name) + value for name, value in zip(SUMS, values, strict=True)}
        MonthlyCallFigures.objects.filter(pk=kept.pk).update(**more)


def report() -> list[Month]:
    """Every month and vendor, the oldest first: as many rows as there were vendors in so many months."""
    by_vendor = MonthlyCallFigures.objects.order_by("month", "vendor").values_list("month", "vendor")
    found = [Month(*row) for row in by_vendor.annotate(Sum("calls"), Sum("audio_seconds"), Sum("cost"))]
    return [*_before(found), *found]


def _before(found: list[Month]) -> Iterable[Month]:
    """The totals of all times less the months, by vendor, where something is left."""
    totals: dict[str, dict[str, float]] = {}
    names = {
        "memory_vendor_calls": "calls",
        "memory_vendor_audio_seconds": "audio",
        "memory_vendor_cost_dollars": "cost",
    }
    for key, value in FigureTotal.objects.filter(key__startswith='["memory_vendor_').values_list("key", "value"):
        name, *labels = json.loads(key)
        if name in names:
            of_vendor = totals.setdefault(labels[0], dict.fromkeys(names.values(), 0.0))
            of_vendor[names[name]] += value
    for vendor, total in sorted(totals.items()):
        own = [month for month in found if month.vendor == vendor]
        calls = round(total["calls"]) - sum(month.calls for month in own)
        if calls > 0:
            audio = total["audio"] - sum(month.audio_seconds for month in own)
            cost = total["cost"] - sum(month.cost for month in own)
            yield Month(None, vendor, calls, max(0.0, audio), max(0.0, cost))
