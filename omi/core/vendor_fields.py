"""A vendor's answer, read field by field: one that cannot be read costs itself, not what was paid for around it.

Every reader takes whatever JSON can hold and raises nothing. ``Losses`` counts what was left out; ``report`` logs it
once per answer, without a word of the text.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, TypeVar

import structlog

from omi.core.metrics import vendor_answer_losses_total

log = structlog.get_logger(__name__)

LABEL_LENGTH = 100
"""Characters of a label (a speaker, a language): longer ones are none."""
LARGEST = 1e15
"""Beyond it a number is no time, count or share of anything."""

Readable = TypeVar("Readable")


class Losses:
    """What of one answer could not be read. ``part``: a word or item; ``field``: a value of one that is kept."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.counts: Counter[str] = Counter()

    @property
    def parts(self) -> int:
        return self.counts["part"]

    def part(self) -> None:
        self.counts["part"] += 1

    def field(self, value: object, read: Readable) -> Readable:
        """Return ``read``, and count a loss where there was a value that could not be read."""
        if read is None and value is not None:
            self.counts["field"] += 1
        return read

    def report(self) -> None:
        if not self.counts:
            return
        parts, values = self.counts["part"], self.counts["field"]
        log.warning("vendor_answer_partly_unreadable", vendor=self.vendor, parts=parts, fields=values)
        for what, count in self.counts.items():
            vendor_answer_losses_total.inc(self.vendor, what, amount=count)


def items(value: object, losses: Losses) -> list[dict[str, Any]]:
    """The objects of a list; everything else in it is a loss, and so is a value that is no list."""
    if not isinstance(value, list):
        if value is not None:
            losses.part()
        return []
    found = []
    for item in value:
        if isinstance(item, dict):
            found.append(item)
        else:
            losses.part()
    return found


def fields(value: object) -> dict[str, Any]:
    """Return a vendor's object, empty where the value is none."""
    return value if isinstance(value, dict) else {}


def first(value: object) -> dict[str, Any]:
    """The first object of a list; empty where there is none."""
    return next((item for item in value if isinstance(item, dict)), {}) if isinstance(value, list) else {}


def number(value: object) -> float | None:
    """A finite number, also one that is written as text. ``true`` is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < LARGEST else None


def text(value: object) -> str | None:
    """Return text that a store can hold: no NUL, no half of a surrogate pair. A number is its digits."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}" if number(value) is not None else None
    if not isinstance(value, str):
        return None
    return value.replace("\x00", "").encode("utf-8", "ignore").decode("utf-8")


def label(value: object) -> str | int | None:
    """A speaker or language as the vendor names it: short text or a whole number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < LARGEST else None
    if isinstance(value, float):
        return int(value) if number(value) is not None and value.is_integer() else None
    found = text(value)
    return found.strip() if found and found.strip() and len(found) <= LABEL_LENGTH else None


def code(value: object) -> str | None:
    """A language code, as text."""
    found = label(value)
    return found if isinstance(found, str) else None
