"""Collectors of figures at Prometheus: one of each class in a process."""

from __future__ import annotations

from prometheus_client import REGISTRY
from prometheus_client.registry import Collector


def register_once(kind: type[Collector]) -> bool:
    """Register a collector of this class; False where one is there, as when Django is set up a second time."""
    if any(isinstance(item, kind) for item in list(REGISTRY._collector_to_names)):
        return False
    REGISTRY.register(kind())
    return True
