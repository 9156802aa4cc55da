"""Today in numbers: how many runs ended how, how long it took, what vendors cost and how they did.

Read from the totals of the counters (``FigureTotal``, which a job adds to every five minutes) less what they were when
the day (UTC) began, so that no page adds up runs or calls. As old as the last of those jobs.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from memories.console.models import FigureSnapshot
from memories.pipeline.models import FigureTotal
from memories.pipeline.operations.metrics import DURATION, LATENCIES, LATENCY, MOVES
from memories.pipeline.states import GOOD
from omi.core.pruning import delete_in_pieces
from transcription.metrics import LIVE_DOLLARS

KEPT: Final = timedelta(days=40)
RUNS: Final = "memory_postprocessing_runs"
CALLS: Final = "memory_vendor_calls"
COST: Final = "memory_vendor_cost_dollars"
AUDIO: Final = "memory_vendor_audio_seconds"


@dataclass(slots=True)
class VendorToday:
    """A vendor's day. ``p50`` and ``p95`` are the limits of the histogram within which so many answers came, in
    seconds (None: none came, or they took longer than the last limit)."""

    name: str
    calls: int = 0
    good: int = 0
    quota: int = 0
    cost: float = 0.0
    audio_seconds: float = 0.0
    p50: float | None = None
    p95: float | None = None

    @property
    def success(self) -> float | None:
        return self.good / self.calls if self.calls else None

    @property
    def cost_per_hour(self) -> float | None:
        return self.cost / (self.audio_seconds / 3600) if self.audio_seconds else None


@dataclass(slots=True)
class Today:
    """The figures of a period on the console's home page. ``since``: from when on (None: since the installation began).
    ``budget``: what all vendors may cost in a day, a thirtieth of ``OMI_VENDOR_BUDGET``. ``step_seconds``: mean seconds
    of each step."""

    since: datetime | None
    runs: int = 0
    good: int = 0
    failed: int = 0
    canceled: int = 0
    spent: float = 0.0
    budget: float = 0.0
    step_seconds: dict[str, float] = field(default_factory=dict)
    vendors: list[VendorToday] = field(default_factory=list)

    @property
    def success(self) -> float | None:
        """Return the share of good runs among those that were not canceled."""
        ended = self.good + self.failed
        return self.good / ended if ended else None

    @property
    def budget_share(self) -> float | None:
        return self.spent / self.budget if self.budget else None


Key = tuple[str, ...]


def snapshot(now: datetime | None = None) -> bool:
    """Write down the totals once a day, as soon after midnight (UTC) as the schedule looks; prune old ones."""
    now = now or timezone.now()
    delete_in_pieces(FigureSnapshot.objects.filter(day__lt=now.date() - KEPT))
    if FigureSnapshot.objects.filter(pk=now.date()).exists():
        return False
    _, made = FigureSnapshot.objects.get_or_create(day=now.date(), defaults={"at": now, "totals": _totals()})
    return made


def _totals() -> dict[str, float]:
    """The totals by key; in those of cost also what live vendors cost, which has no calls."""
    found = dict(FigureTotal.objects.exclude(key=MOVES).values_list("key", "value"))
    for (vendor,), dollars in LIVE_DOLLARS.totals().items():
        key = json.dumps((COST, vendor))
        found[key] = found.get(key, 0.0) + dollars
    return found


def today(day: date | None = None) -> Today:
    """Return the figures since the beginning of ``day`` (today). Three queries, of as many rows as there are labels."""
    begun = FigureSnapshot.objects.filter(day=day or timezone.now().date()).first()
    before = begun.totals if begun is not None else {}
    found: dict[Key, float] = defaultdict(float)
    for key, value in _totals().items():
        change = value - float(before.get(key, 0.0))
        if change > 0:
            found[tuple(json.loads(key))] += change
    made = Today(begun.at if begun is not None else None, budget=sum(settings.OMI_VENDOR_BUDGET.values()) / 30)
    _add_runs(made, found)
    made.step_seconds = _step_seconds(found)
    made.vendors = _vendors(found)
    made.spent = sum(vendor.cost for vendor in made.vendors)
    return made


def _add_runs(made: Today, found: dict[Key, float]) -> None:
    for key, value in found.items():
        if key[0] != RUNS:
            continue
        made.runs += int(value)
        if key[2] in GOOD:
            made.good += int(value)
        elif key[2] == "canceled":
            made.canceled += int(value)
        else:
            made.failed += int(value)


def _step_seconds(found: dict[Key, float]) -> dict[str, float]:
    seconds: dict[str, float] = defaultdict(float)
    counts: dict[str, float] = defaultdict(float)
    for key, value in found.items():
        if key[0] == DURATION and key[2] in GOOD:
            if key[3] == "sum":
                seconds[key[1]] += value
            elif key[3] == "count":
                counts[key[1]] += value
    return {step: seconds[step] / count for step, count in sorted(counts.items()) if count}


def _vendors(found: dict[Key, float]) -> list[VendorToday]:
    vendors: dict[str, VendorToday] = {}
    waits: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def of(name: str) -> VendorToday:
        return vendors.setdefault(name, VendorToday(name))

    for key, value in found.items():
        if key[0] == CALLS:
            vendor = of(key[1])
            vendor.calls += int(value)
            vendor.good += int(value) if key[3] in GOOD else 0
            vendor.quota += int(value) if key[3] == "quota" else 0
        elif key[0] == COST:
            of(key[1]).cost += value
        elif key[0] == AUDIO:
            of(key[1]).audio_seconds += value
        elif key[0] == LATENCY:
            waits[key[1]][key[3]] += value
    for name, limits in waits.items():
        of(name).p50, of(name).p95 = quantile(limits, 0.5), quantile(limits, 0.95)
    told = (item for item in vendors.values() if item.calls or item.cost)
    return sorted(told, key=lambda item: (-item.cost, item.name))


def quantile(limits: dict[str, float], share: float) -> float | None:
    """The smallest limit of the histogram within which ``share`` of the answers came. ``limits``: the limit, as text,
    to how many came within it, and ``count``."""
    wanted = limits.get("count", 0.0) * share
    if not wanted:
        return None
    return next((float(limit) for limit in LATENCIES if limits.get(str(float(limit)), 0.0) >= wanted), None)
