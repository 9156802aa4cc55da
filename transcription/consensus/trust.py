"""How much a vendor's word is worth, and how much less two vendors' word where they make the same mistakes. Pure.

Three voters that err independently are rarely wrong together, and two of them rightly outvote a better third. Real ones
are not independent: what was mumbled is misheard by all. How often two vendors err *alike* shows in the session itself:
how often is the third one alone, against how often it ought to be by its accuracy and by how often the others are?
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from transcription.consensus.align import Slot, plain

ALIKE, EXTRA, MISSING = "alike", "extra", "missing"
"""What stands against what: a word against another word, a word against none, none against a word. Vendors leave words
out together (noise, crosstalk) far more often than they make up the same one, so these are counted apart."""
LEAST, MOST = 0.55, 0.999
"""Accuracies between which log odds are taken. Below, the weight falls to nothing in proportion: the order stays."""
DOUBT, DOUBTFUL_PART = 16.0, 0.3
"""What is thought before the session has shown anything, with the weight of so many slots: this part of the lighter
vendor's weight is new. Less than for independent vendors, so that a clearly better one is outvoted on evidence only."""


def weights_from(accuracy: Mapping[str, float]) -> dict[str, float]:
    """Accuracy (1 - word error rate) to weight: log odds, as for independent voters. Who is right 98 times in 100
    outvotes two who are right 60 times."""
    return {name: _log_odds(min(MOST, max(LEAST, value))) * min(1.0, value / LEAST) for name, value in accuracy.items()}


def _log_odds(probability: float) -> float:
    return math.log(probability / (1.0 - probability))


def kind_of(one: str, other: str) -> str:
    """The kind of ``one`` standing against ``other`` (plain texts, empty for no word)."""
    return MISSING if not one else EXTRA if not other else ALIKE


@dataclass(slots=True)
class Trust:
    """``weight`` by vendor; ``new``: which part of the second vendor's weight counts beside the first one's."""

    weight: Mapping[str, float]
    new: dict[tuple[str, str, str], float] = field(default_factory=dict)

    def together(self, vendors: Sequence[str], kind: str) -> float:
        """Weight of what these vendors agree on, heaviest first."""
        total = 0.0
        for index, vendor in enumerate(vendors):
            parts = (self.new.get(_pair(vendor, before, kind), DOUBTFUL_PART) for before in vendors[:index])
            total += self.weight[vendor] * math.prod(parts)
        return total


def learn(slots: Iterable[tuple[Slot, Sequence[str]]], weight: Mapping[str, float]) -> Trust:
    """``slots`` each with the vendors that listened there. Counts for each three vendors who stood alone against the
    other two, and compares."""
    alone: Counter[tuple[frozenset[str], str, str]] = Counter()
    for slot, listeners in slots:
        texts = {vendor: plain(slot.words[vendor].text) if vendor in slot.words else "" for vendor in listeners}
        for three in combinations(listeners, 3):
            for vendor in three:
                first, second = (other for other in three if other != vendor)
                if texts[first] == texts[second] != texts[vendor]:
                    alone[frozenset(three), vendor, kind_of(texts[first], texts[vendor])] += 1
    found: dict[tuple[str, str, str], list[tuple[int, float]]] = {}
    for group in {key[0] for key in alone}:
        for vendor in group:
            first, second = sorted(group - {vendor}, key=lambda name: (-weight[name], name))
            for kind in (ALIKE, EXTRA, MISSING):
                seen = alone[group, vendor, kind]
                expected = _expected(alone, group, vendor, kind, weight)
                part = _new_part(seen, expected, weight[first], weight[second], weight[vendor])
                found.setdefault(_pair(first, second, kind), []).append((seen, part))
    trust = Trust(weight)
    for key, parts in found.items():
        if total := sum(seen for seen, _ in parts):
            trust.new[key] = sum(seen * part for seen, part in parts) / total
    return trust


def _pair(one: str, other: str, kind: str) -> tuple[str, str, str]:
    return (min(one, other), max(one, other), kind)


def _expected(
    alone: Counter[tuple[frozenset[str], str, str]],
    group: frozenset[str],
    vendor: str,
    kind: str,
    weight: Mapping[str, float],
) -> float:
    """How often ``vendor`` would be alone through its own mistakes: as often as the others are through theirs, by the
    odds of being wrong."""
    others = [alone[group, other, kind] * math.exp(weight[other] - weight[vendor]) for other in group - {vendor}]
    return sum(others) / len(others)


def _new_part(seen: int, expected: float, first: float, second: float, third: float) -> float:
    """Which part of the lighter one's weight makes the pair as credible against the third as the counts say. ``first``,
    ``second``, ``third``: weights, the pair's heavier one first."""
    if second <= 0:
        return 0.0
    before = 1.0 / (1.0 + math.exp(third - first - DOUBTFUL_PART * second))
    right = (min(seen, expected) + DOUBT * before) / (seen + DOUBT)
    return min(1.0, max(0.0, (_log_odds(right) + third - first) / second))
