"""Measures of a transcript against a known script: word error rate and speaker-label accuracy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from demo.material import Material

_NOT_WORD = re.compile(r"[^\w' ]+")
_DOLLARS = re.compile(r"\$ ?(\d[\d,]*)")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}\b)")
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBERS = {word: value for value, word in enumerate(_SMALL)} | {word: 10 * n for n, word in enumerate(_TENS, start=2)}

_AND = re.compile(rf"\b(hundred|thousand) and (?=(?:{'|'.join(_NUMBERS)})\b)")


def normalise(text: str) -> list[str]:
    """Lower case, punctuation gone, numbers in figures ("four thousand dollars" and "$4,000" are the same): the usual
    form for word error rates."""
    plain = _AND.sub(r"\1 ", text.lower())
    plain = _THOUSANDS.sub("", _DOLLARS.sub(r"\1 dollars", plain.replace("’", "'")))
    return _in_figures(_NOT_WORD.sub(" ", plain).split())


def _in_figures(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    thousands, part = 0, -1  # of the number that is being read; no part: none is
    for word in [*words, ""]:
        if word == "hundred" and part > 0:
            part *= 100
        elif word == "thousand" and part > 0:
            thousands, part = 1000 * part, 0
        elif word in _NUMBERS and (part in (-1, 0) or _goes_on(part, _NUMBERS[word])):
            part = max(part, 0) + _NUMBERS[word]
        else:
            if part >= 0:
                found.append(str(thousands + part))
            thousands, part = 0, _NUMBERS.get(word, -1)
            found += [word] if part < 0 else []
    return found[:-1]


def _goes_on(part: int, value: int) -> bool:
    """Whether ``value`` continues a number: one after twenty, anything after a hundred."""
    return part % 100 == 0 or (part % 100 >= 20 and part % 10 == 0 and value < 10)


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


def measured(
    material: Material, people: dict[str, str], segments: Sequence[dict[str, Any]], model: str
) -> dict[str, Any]:
    """``segments`` held against the script of ``material``, where it has one; ``people`` maps names to person ids."""
    part: dict[str, Any] = {"model": model, "segments": segments}
    if material.words:
        reference = normalise(" ".join(word["word"] for word in material.words))
        heard = normalise(" ".join(segment["text"] for segment in segments))
        who = {material.user: "user", **people, **dict.fromkeys(material.strangers, "unknown")}
        part["word_error_rate"] = word_error_rate(reference, heard)
        part["speakers"] = speaker_accuracy(material.words, segments, who)
    return part
