"""The vote itself. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from transcription.consensus.align import Slot, align, place, plain, stretches
from transcription.segments import Word
from transcription.spans import Span

LEAST, MOST = 0.55, 0.999
"""Accuracies between which log odds are taken. Below, the weight falls to nothing in proportion: the order stays."""


def weights_from(accuracy: Mapping[str, float]) -> dict[str, float]:
    """Accuracy (1 - word error rate) to weight: it grows with the accuracy. The vote uses only its order."""
    return {name: _log_odds(min(MOST, max(LEAST, value))) * min(1.0, value / LEAST) for name, value in accuracy.items()}


def _log_odds(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def vote(
    transcripts: Mapping[str, Sequence[Word]],
    weights: Mapping[str, float] | None = None,
    covered: Mapping[str, Sequence[Span]] | None = None,
) -> list[Word]:
    """The voted words, sorted by start. Each is one vendor's own word with its times and speaker.

    Each vendor has one vote in each slot, for its word or for none; most votes win. Where two have as many, it is what
    the heaviest vendor says: so the heavier one of two decides alone. Weights (``weights_from``; without them all are
    equal, and the first one counts as the heaviest) do no more than that: one that is wrong does little harm.

    ``covered``: the stretches that a vendor heard. Outside them it abstains: that a vendor which was down gave no word
    says nothing about whether one was spoken. A vendor that is missing there heard everything.

    One transcript alone comes back as it is. Speakers are the labels of the heaviest vendor that said the word: give
    transcripts whose labels mean the same.
    """
    weight = {vendor: max(0.0, (weights or {}).get(vendor, 1.0)) for vendor in transcripts}
    order = sorted(transcripts, key=lambda vendor: -weight[vendor])
    heard = {vendor: sorted(transcripts[vendor], key=place) for vendor in order if transcripts[vendor]}
    if len(heard) < 2:
        return [word for words in heard.values() for word in words]
    voted: list[Word] = []
    for stretch in stretches(heard):
        for slot in align(stretch):
            listeners = [vendor for vendor in heard if vendor in slot.words or _listened(vendor, slot, covered or {})]
            word = _decide(slot, listeners)
            voted += [word] if word is not None else []
    return sorted(voted, key=place)


def _listened(vendor: str, slot: Slot, covered: Mapping[str, Sequence[Span]]) -> bool:
    return vendor not in covered or any(start <= slot.middle <= end for start, end in covered[vendor])


def _decide(slot: Slot, listeners: Sequence[str]) -> Word | None:
    """What most of ``listeners`` (heaviest first) have here; of equal sides the one with the heaviest vendor."""
    sides: dict[str, list[str]] = {}
    for vendor in listeners:
        sides.setdefault(plain(slot.words[vendor].text) if vendor in slot.words else "", []).append(vendor)
    text = max(sides, key=lambda side: len(sides[side]))  # the first one of equals: it has the heaviest vendor
    return slot.words[sides[text][0]] if text else None
