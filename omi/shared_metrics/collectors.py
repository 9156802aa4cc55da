"""Collectors of figures at Prometheus: one of each class, and one of each function that reads rows, in a process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from django.db import Error
from prometheus_client import REGISTRY
from prometheus_client.registry import Collector

Families = Callable[[], Iterable[Any]]
"""Reads rows and returns families of Prometheus' client; raises what the database does."""


class RowCollector(Collector):
    """Tells what ``families`` reads from rows at each scrape, at most every ``fresh`` seconds.

    While the rows cannot be read nothing is told: that they cannot is said by the pipeline's figures.
    """

    def __init__(self, families: Families, fresh: float = 0.0) -> None:
        self.families, self._fresh = families, fresh
        self._until = 0.0
        self._told: list[Any] = []

    def describe(self) -> Iterable[Any]:
        return []  # nothing is asked of the database while the process starts

    def collect(self) -> Iterable[Any]:
        if time.monotonic() > self._until:
            try:
                self._told = list(self.families())
            except Error:
                self._told = []
            self._until = time.monotonic() + self._fresh
        return self._told


def register_rows(families: Families, *, fresh: float = 0.0) -> None:
    """Have Prometheus told what ``families`` reads, once per process, also when Django is set up a second time."""
    if not any(isinstance(item, RowCollector) and item.families is families for item in _registered()):
        REGISTRY.register(RowCollector(families, fresh))


def register_once(kind: type[Collector]) -> bool:
    """Register a collector of this class; False where one is there, as when Django is set up a second time."""
    if any(isinstance(item, kind) for item in _registered()):
        return False
    REGISTRY.register(kind())
    return True


def _registered() -> list[Collector]:
    return list(REGISTRY._collector_to_names)
