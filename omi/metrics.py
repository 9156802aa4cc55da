"""Prometheus metrics that several rooms share. Rooms that only count for themselves keep theirs beside the code."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

# memory_postprocessing_duration_seconds and memory_postprocessing_errors_total are read from the pipeline's rows when
# they are scraped (memories.pipeline.metrics): workers are processes of their own.

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
erasures_total = Counter(
    "omi_erasures_total", "Erasures, by kind and whether every store was reached.", ["kind", "complete"]
)
