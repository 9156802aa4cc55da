"""The vote itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from transcription.consensus.align import Slot, align, place, plain, stretches
from transcription.consensus.trust import Trust, kind_of, learn
from transcription.segments import Word

Span = tuple[float, float]
LONGEST = 300
"""Words of one stretch; a longer one (nobody pauses for minutes) keeps the best vendor's words."""
MARGIN = 0.5
"""Log odds by which others must be more credible than the best vendor to be preferred to it."""


def vote(
    transcripts: Mapping[str, Sequence[Word]],
    weights: Mapping[str, float] | None = None,
    covered: Mapping[str, Sequence[Span]] | None = None,
) -> list[Word]:
    """The voted words, sorted by start. Each is one vendor's own word with its times and speaker.

    ``covered``: the stretches that a vendor heard. Outside them it abstains: that a vendor which was down gave no word
    says nothing about whether one was spoken. A vendor that is missing there heard everything.

    ``weights`` (``weights_from``) default to 1; a vendor that is missing there, too. One transcript alone comes back as
    it is, and so does the heavier one of two. Speakers are the labels of the heaviest vendor that said the word: give
    transcripts whose labels mean the same.
    """
    weight = {vendor: max(0.0, (weights or {}).get(vendor, 1.0)) for vendor in transcripts}
    order = sorted(transcripts, key=lambda vendor: -weight[vendor])
    heard = {vendor: sorted(transcripts[vendor], key=place) for vendor in order if transcripts[vendor]}
    if len(heard) < 2:
        return [word for words in heard.values() for word in words]
    voted: list[Word] = []
    slots: list[tuple[Slot, list[str]]] = []
    for stretch in stretches(heard):
        if max(map(len, stretch.values())) > LONGEST:
            voted += next(iter(stretch.values()))
            continue
        for slot in align(stretch):
            listeners = [vendor for vendor in heard if vendor in slot.words or _listened(vendor, slot, covered or {})]
            slots.append((slot, listeners))
    trust = learn(slots, weight)
    voted += [word for slot, listeners in slots if (word := _decide(slot, listeners, trust)) is not None]
    return sorted(voted, key=place)


def _listened(vendor: str, slot: Slot, covered: Mapping[str, Sequence[Span]]) -> bool:
    return vendor not in covered or any(start <= slot.middle <= end for start, end in covered[vendor])


def _decide(slot: Slot, listeners: Sequence[str], trust: Trust) -> Word | None:
    """What the heaviest vendor heard, unless what others heard is more credible. ``listeners``: heaviest first."""
    sides: dict[str, list[str]] = {}
    for vendor in listeners:
        sides.setdefault(plain(slot.words[vendor].text) if vendor in slot.words else "", []).append(vendor)
    best, *others = sides
    lead, chosen = MARGIN, best
    for text in others:
        gain = trust.together(sides[text], kind_of(text, best)) - trust.together(sides[best], kind_of(best, text))
        if gain > lead:
            lead, chosen = gain, text
    return slot.words[sides[chosen][0]] if chosen else None
