"""What the tests of the vectors port write and read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from omi.stores.vectors.base import Match, Vector

DIMENSION = 16


def unit(*parts: float) -> list[float]:
    return [*parts, *[0.0] * (DIMENSION - len(parts))]


def record(uid: str, memory: str, values: list[float], **more: Any) -> Vector:
    return Vector(f"{uid}-{memory}", values, {"uid": uid, "memory_id": memory, **more})


def ids(matches: Iterable[Match]) -> list[str]:
    return [match.id for match in matches]
