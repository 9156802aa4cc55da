"""What the console has done by the worker now and then."""

from __future__ import annotations

from memories.console import failures, figures, replay
from omi.shared_metrics.schedules import Schedules


def replays() -> int:
    """Send replays whose message was lost to a worker."""
    return replay.wake_all()


def missed_failures() -> int:
    """Count failed runs that are in no group yet, and delete old counters."""
    return failures.catch_up() + failures.prune()


def totals() -> bool:
    """Write down the totals of all counters when a day begins."""
    return figures.snapshot()


SCHEDULES = Schedules(
    {
        "console: wake replays": (f"{__name__}.replays", 1),
        "console: count failures that were missed": (f"{__name__}.missed_failures", 15),
        "console: totals of the day": (f"{__name__}.totals", 10),
    }
)
ensure = SCHEDULES.ensure
