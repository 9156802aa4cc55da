"""What Django-Q2 calls for learning."""

from __future__ import annotations

from django.conf import settings

from memories.learning import running
from omi.shared_metrics.schedules import Schedules


def learn() -> int:
    """One turn of all learners, or with ``OMI_LEARNING`` off the undoing of what was learned; how much was changed."""
    if not settings.OMI_LEARNING:
        return running.since_switched_off()
    return sum(outcome.done in ("applied", "rolled back") for outcome in running.learn())


ensure_schedules = Schedules({"learn": ("memories.learning.upkeep.learn", 24 * 60)}).ensure
