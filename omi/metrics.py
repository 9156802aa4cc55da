"""Prometheus metrics that several rooms share. Rooms that only count for themselves keep theirs beside the code."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

memory_postprocessing_duration_seconds = Histogram(
    "memory_postprocessing_duration_seconds",
    "Time from the start of a post-processing step to its end, by step.",
    ["step"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800),
)
memory_postprocessing_errors_total = Counter(
    "memory_postprocessing_errors_total",
    "Failed tries of post-processing steps and vendor calls, by omi.errors.Outcome.",
    ["step", "vendor", "outcome"],
)

# Stores
documents_unreadable_total = Counter(
    "omi_documents_unreadable_total", "Documents left out of a list because they are damaged."
)
mirror_differences = Gauge(
    "omi_mirror_differences", "Differences found by the last check of a sample, by kind.", ["kind"]
)
mirror_checked_total = Counter("omi_mirror_checked_total", "Memories compared between documents, vectors and rows.")
audio_objects_deleted_total = Counter(
    "omi_audio_objects_deleted_total", "Audio objects deleted, by reason.", ["reason"]
)
erasures_total = Counter("omi_erasures_total", "Erasures, by kind and whether every store was reached.", ["kind", "complete"])
