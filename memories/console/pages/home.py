"""The home: what needs a human first, then today in numbers."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.utils import timezone

from memories.console import failures, figures, radar
from memories.console.models import FailureGroup, Replay
from memories.console.pages.base import sparkline
from memories.offline import ending
from memories.pipeline import queries
from memories.pipeline.models import VendorBreaker
from transcription.models import LiveVendorBreaker

GROUPS = 12
DEAD_LETTERS = 1000
HIDDEN = (FailureGroup.Status.IGNORED, FailureGroup.Status.RESOLVED)


def context() -> dict[str, Any]:
    """Return what the home page shows. As many queries whatever there is; each of bounded rows."""
    lines = failures.lines(limit=GROUPS + 1)
    stuck = radar.look()
    today = figures.today()
    open_breakers = list(VendorBreaker.objects.filter(open=True).order_by("vendor")[:50])
    live_breakers = list(
        LiveVendorBreaker.objects.filter(Q(alarm=True) | Q(retry_at__gt=timezone.now().timestamp()))[:50]
    )
    dead = queries.dead_letters().order_by()[:DEAD_LETTERS].count()
    offline = ending.given_up().order_by()[:DEAD_LETTERS].count()
    replays = list(
        Replay.objects.filter(state__in=[*Replay.State.values[:2], Replay.State.UNDOING]).order_by("-id")[:5]
    )
    return {
        "title": "What needs a human",
        "lines": [(line, sparkline(line.hours)) for line in lines[:GROUPS]],
        "more_groups": len(lines) > GROUPS,
        "hidden": failures.of_status(HIDDEN).count(),
        "radar": stuck,
        "kinds": radar.KINDS,
        "dead": dead,
        "offline": offline,
        "open_breakers": open_breakers,
        "live_breakers": live_breakers,
        "today": today,
        "replays": replays,
        "quiet": not (lines or stuck.total or open_breakers or live_breakers or dead or offline),
    }
