"""Where every second of a session went: transcribed, silence, or failed with a reason. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transcription.ports import Accounting, Stretch
from transcription.segments import Word
from transcription.spans import Span, intersect, lasting, length, merge, subtract

AROUND_WORD = 0.5
"""Seconds on either side of a word that count as transcribed speech."""


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
    """Divide a session's seconds into transcribed, silence and failed. ``covered``: what the shown vendors decided;
    ``speech``: where the gate heard a voice; ``lost``: what no vendor could be given, because neither memory nor
    journal had it any more (all spans in seconds).

    Covered time is transcribed around its words and silence elsewhere. Time that nobody decided is silence where no
    voice was heard, and failed where there was one. What was lost has failed, whatever it held.
    """
    whole = [(0.0, received)]
    gone = intersect(merge(lost), whole)
    decided = subtract(intersect(merge(covered), whole), gone)
    spoken = intersect(merge([(word.start - AROUND_WORD, word.end + AROUND_WORD) for word in words]), decided)
    undecided = lasting(intersect(subtract(subtract(whole, decided), gone), merge(speech)))
    gone = lasting(gone)
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
