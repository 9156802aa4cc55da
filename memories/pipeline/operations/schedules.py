"""Django-Q2 schedules of the pipeline: the safety net under ``serve``'s own loop."""

from __future__ import annotations

from typing import Final

from omi.shared_metrics.schedules import Schedules

HOUSEKEEPING: Final = "housekeeping"
PARTS: Final = ("sessions", "audio", "uploads", "tasks", "unknown", "figures")
"""What housekeeping does: one part that fails keeps no other from its work."""

SCHEDULES: Final = Schedules(
    {
        "reconcile runs": ("memories.pipeline.tasks.reconcile", 1),
        HOUSEKEEPING: ("memories.pipeline.tasks.housekeeping", 5),
    },
    parts={HOUSEKEEPING: PARTS},
)
ensure = SCHEDULES.ensure
