"""Figures that the workers count as they go: the rows to compute them from are erased with the memory."""

from __future__ import annotations

from typing import Final

from omi.shared_metrics.counters import SharedCounter

ASSESSED: Final = SharedCounter(
    "memory_transcripts_assessed", "New transcripts that were compared with the shown one", ["accepted"]
)
RESTARTS: Final = SharedCounter(
    "omi_server_restarts",
    "Servers that ended or hung and were started again by manage.py serve.",
    ["process"],
    begin=(("web",), ("worker",)),
)
