"""Measures of a transcript against a known script: word error rate and speaker-label accuracy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_NOT_WORD = re.compile(r"[^\w' ]+")


def normalise(text: str) -> list[str]:
    """Lower case, punctuation gone: the usual form for word error rates."""
    return _NOT_WORD.sub(" ", text.lower().replace("’", "'")).split()


def word_error_rate(reference: Sequence[str], hypothesis: Sequence[str]) -> float | None:
    """Substitutions, deletions and insertions per reference word (may be over 1). None without a reference."""
    if not reference:
        return None
    previous = list(range(len(hypothesis) + 1))
    for row, expected in enumerate(reference, start=1):
        current = [row]
        for column, heard in enumerate(hypothesis, start=1):
            current.append(
                min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (expected != heard))
            )
        previous = current
    return previous[-1] / len(reference)


def speaker_accuracy(
    words: Sequence[dict[str, Any]], segments: Sequence[dict[str, Any]], who: dict[str, str]
) -> dict[str, float]:
    """Share of the script's words that lie in a segment labelled with the right person.

    ``who`` maps the script's speaker to ``user``, a person_id, or ``unknown`` (a stranger must stay one). A word under
    no segment counts as wrong in ``accuracy``; ``covered`` is the share that lies under some segment.
    """
    right = covered = 0
    for word in words:
        middle = (word["start"] + word["end"]) / 2
        segment = next((item for item in segments if item["start"] - 0.1 <= middle <= item["end"] + 0.1), None)
        if segment is None:
            continue
        covered += 1
        right += label_of(segment) == who[word["speaker"]]
    total = max(1, len(words))
    return {"accuracy": right / total, "covered": covered / total}


def label_of(segment: dict[str, Any]) -> str:
    if segment.get("is_user"):
        return "user"
    return str(segment.get("person_id") or "unknown")
