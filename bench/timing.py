"""Milliseconds of a piece of work that is repeated."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any


def timed(work: Callable[[int], Any], rounds: int) -> dict[str, float]:
    """p50 and p99 (nearest rank) of ``rounds`` calls."""
    times = []
    for turn in range(rounds):
        began = time.perf_counter()
        work(turn)
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return {"p50_ms": round(statistics.median(times), 2), "p99_ms": round(times[math.ceil(rounds * 0.99) - 1], 2)}


def chunks(count: int, size: int) -> Iterator[range]:
    for start in range(0, count, size):
        yield range(start, min(count, start + size))
