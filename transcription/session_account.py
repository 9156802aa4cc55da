"""Where every second of a session went: transcribed, silence, or failed with a reason. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from transcription.ports import Accounting
from transcription.segments import Word

AROUND_WORD = 0.5
"""Seconds on either side of a word that count as transcribed speech."""

Span = tuple[float, float]


def account(
    received: float, covered: Sequence[Span], words: Sequence[Word], speech: Sequence[Span], reason: str
) -> Accounting:
    """``covered``: what the shown vendors decided; ``speech``: where the gate heard a voice (all spans in seconds).

    Covered time is transcribed around its words and silence elsewhere. Time that nobody decided is silence where no
    voice was heard, and failed where there was one.
    """
    whole = [(0.0, received)]
    decided = intersect(merge(covered), whole)
    spoken = intersect(merge([(word.start - AROUND_WORD, word.end + AROUND_WORD) for word in words]), decided)
    open_time = subtract(whole, decided)
    failed = length(intersect(open_time, merge(speech)))
    transcribed = length(spoken)
    return Accounting(
        received=received,
        transcribed=transcribed,
        silence=max(0.0, received - transcribed - failed),
        failed=failed,
        reasons={reason: failed} if failed > 0 else {},
    )


def merge(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def intersect(a: Sequence[Span], b: Sequence[Span]) -> list[Span]:
    """Both sorted and free of overlap."""
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
    found: list[Span] = []
    for start, end in a:
        for cut_start, cut_end in b:
            if cut_end <= start or cut_start >= end:
                continue
            if cut_start > start:
                found.append((start, cut_start))
            start = max(start, cut_end)
        if end > start:
            found.append((start, end))
    return found


def length(spans: Sequence[Span]) -> float:
    return sum(end - start for start, end in spans)
