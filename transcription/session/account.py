"""Where every second of a session went: transcribed, silence, or failed with a reason. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transcription.ports import Accounting, Stretch
from transcription.segments import Word

AROUND_WORD = 0.5
"""Seconds on either side of a word that count as transcribed speech."""

Span = tuple[float, float]


def account(
    received: float,
    covered: Sequence[Span],
    words: Sequence[Word],
    speech: Sequence[Span],
    reason: str,
    *,
    lost: Sequence[Span] = (),
    vendors: dict[str, dict[str, Any]] | None = None,
) -> Accounting:
    """``covered``: what the shown vendors decided; ``speech``: where the gate heard a voice; ``lost``: what no vendor
    could be given, because neither memory nor journal had it any more (all spans in seconds).

    Covered time is transcribed around its words and silence elsewhere. Time that nobody decided is silence where no
    voice was heard, and failed where there was one. What was lost has failed, whatever it held.
    """
    whole = [(0.0, received)]
    gone = intersect(merge(lost), whole)
    decided = subtract(intersect(merge(covered), whole), gone)
    spoken = intersect(merge([(word.start - AROUND_WORD, word.end + AROUND_WORD) for word in words]), decided)
    undecided = intersect(subtract(subtract(whole, decided), gone), merge(speech))
    missing = merge([*undecided, *gone])
    failed, transcribed = length(missing), length(spoken)
    reasons = {reason: length(undecided), "journal_unavailable": length(gone)}
    return Accounting(
        received=received,
        transcribed=transcribed,
        silence=max(0.0, received - transcribed - failed),
        failed=failed,
        reasons={why: seconds for why, seconds in reasons.items() if seconds > 0},
        missing=[Stretch(round(start, 3), round(end, 3)) for start, end in missing],
        vendors=vendors or {},
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
