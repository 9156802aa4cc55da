"""Figures that the workers count as they go: the rows to compute them from are erased with the memory."""

from __future__ import annotations

from typing import Final

from omi.shared_metrics.counters import SharedCounter

ASSESSED: Final = SharedCounter(
    "memory_transcripts_assessed", "New transcripts that were compared with the shown one", ["accepted"]
)
