"""Stretches of time as pairs of seconds: joined, cut and measured. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Span = tuple[float, float]
LEAST = 0.001
"""Seconds of a stretch in which something can be said: less is what floats leave of two ends that are one."""


def merge(spans: Iterable[Span]) -> list[Span]:
    """Return the spans in order, touching and overlapping ones as one, empty ones left out."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def intersect(a: Sequence[Span], b: Sequence[Span]) -> list[Span]:
    """What lies in both, each sorted and free of overlap."""
    found: list[Span] = []
    i = j = 0
    while i < len(a) and j < len(b):
        start, end = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if end > start:
            found.append((start, end))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return found


def subtract(a: Sequence[Span], b: Sequence[Span]) -> list[Span]:
    """Return ``a`` without ``b``, each sorted and free of overlap."""
    found: list[Span] = []
    first = 0
    for start, end in a:
        while first < len(b) and b[first][1] <= start:
            first += 1
        at = first
        while at < len(b) and b[at][0] < end:
            if b[at][0] > start:
                found.append((start, b[at][0]))
            start = max(start, b[at][1])
            at += 1
        if end > start:
            found.append((start, end))
    return found


def length(spans: Iterable[Span]) -> float:
    """Seconds of spans that do not overlap."""
    return sum(end - start for start, end in spans)


def lasting(spans: Iterable[Span]) -> list[Span]:
    """Those of ``LEAST`` seconds or more, as they come."""
    return [(start, end) for start, end in spans if end - start >= LEAST]
