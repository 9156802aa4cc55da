"""Prometheus metrics that several rooms share. Rooms that only count for themselves keep theirs beside the code."""

from __future__ import annotations

from prometheus_client import Counter

# What workers do is read from their rows when it is scraped (memories.pipeline.operations.metrics,
# memories.mirror.metrics): they
# are processes of their own, and nobody scrapes them.

documents_unreadable_total = Counter(
    "omi_documents_unreadable_total", "Documents left out of a list because they are damaged."
)
vendor_answer_losses_total = Counter(
    "omi_vendor_answer_losses_total",
    "Parts and fields of vendors' answers that could not be read and were left out.",
    ["vendor", "what"],
)

throttled_total = Counter("omi_throttled_total", "Requests beyond a user's rate (429).", ["kind"])
