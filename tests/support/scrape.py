"""What ``/metrics`` says in this process."""

from __future__ import annotations

from django.test import Client
from prometheus_client import REGISTRY


def scraped() -> str:
    """Read the rows now: collectors keep what they read for some seconds, and another test may have read other rows."""
    for collector in set(REGISTRY._collector_to_names):
        if hasattr(collector, "_until"):
            collector._until = 0.0
    return Client().get("/metrics").content.decode()
