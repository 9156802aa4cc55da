"""What happens at a second of one memory, at the second of another one that is the same moment. Pure functions.

``offset``: seconds from the other memory's second 0 to this one's; negative where this one begins earlier.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from emotions.base import EmotionSpan
from memories.shapes import Change
from transcription.segments import Segment

Timed = TypeVar("Timed", Segment, EmotionSpan, Change)


def moment(second: float, offset: float) -> float:
    """Return a moment in the other memory's time, rounded to ms; nothing lies before second 0."""
    return max(0.0, round(second + offset, 3))


def shifted(item: Timed, offset: float, **more: Any) -> Timed:
    """Return ``item`` in the other memory's times. ``more``: fields that are others there."""
    start = moment(item.start, offset)
    return item.model_copy(update={"start": start, "end": max(start, moment(item.end, offset)), **more})


def decision(said: Mapping[str, Any], offset: float) -> dict[str, Any]:
    """What the user said of a voice or a segment, in the other memory, whose transcript is of no model."""
    moved = {**said, "transcript": None, "version": None}
    for name in ("start", "end"):
        if isinstance(moved.get(name), int | float):
            moved[name] = moment(float(moved[name]), offset)
    return moved
