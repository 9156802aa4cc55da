"""One transcript from several vendors' transcripts of the same audio: a word-level vote (ROVER, Fiscus 1997).

The transcripts are aligned by word and by time into slots; in each slot the vendors vote, by weight, for a word or for
*no word here*. The weight of a vendor is what is known of its accuracy (1 - word error rate). Pure; times in seconds.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transcription.segments import SAME_SPEAKER_GAP, Segment, Word, clean_text, segment_id

MODEL = "consensus"
"""The name under which the vote is stored."""
Span = tuple[float, float]

APART = 0.15
"""Half of the silence (s) that divides the audio into stretches which are aligned by themselves."""
NEAR = 0.6
"""Words whose middles are farther apart (s) are not the same word, whatever their text."""
LONGEST = 300
"""Words of one stretch; a longer one (nobody pauses for minutes) keeps the best vendor's words."""
_GAP, _OTHER, _NEVER = 1.0, 1.4, 1e9
_PLAIN = re.compile(r"[\W_]+", re.UNICODE)


@dataclass(slots=True)
class _Slot:
    middle: float
    words: dict[str, Word] = field(default_factory=dict)
    texts: set[str] = field(default_factory=set)

    def add(self, vendor: str, word: Word) -> None:
        self.words[vendor] = word
        self.texts.add(plain(word.text))


def plain(text: str) -> str:
    return _PLAIN.sub("", text).casefold()


def weights_from(accuracy: Mapping[str, float]) -> dict[str, float]:
    """Accuracy (1 - word error rate) to weight: log odds, as for independent voters. Who is right 98 times in 100
    outvotes two who are right 60 times."""
    bounded = {name: min(0.999, max(0.501, value)) for name, value in accuracy.items()}
    return {name: math.log(value / (1.0 - value)) for name, value in bounded.items()}


def vote(
    transcripts: Mapping[str, Sequence[Word]],
    weights: Mapping[str, float] | None = None,
    covered: Mapping[str, Sequence[Span]] | None = None,
) -> list[Word]:
    """The voted words, sorted by start. Each is one vendor's own word with its times and speaker.

    ``covered``: the stretches that a vendor heard. Outside them it abstains: that a vendor which was down gave no word
    says nothing about whether one was spoken. A vendor that is missing there heard everything.

    ``weights`` default to 1; a vendor that is missing there, too. One transcript alone comes back as it is. Speakers
    are the labels of the heaviest vendor that said the word: give transcripts whose labels mean the same.
    """
    weight = {vendor: max(0.0, (weights or {}).get(vendor, 1.0)) for vendor in transcripts}
    order = sorted(transcripts, key=lambda vendor: -weight[vendor])
    heard = {vendor: sorted(transcripts[vendor], key=_place) for vendor in order if transcripts[vendor]}
    if len(heard) < 2:
        return [word for words in heard.values() for word in words]
    voted: list[Word] = []
    for stretch in _stretches(heard):
        if max(map(len, stretch.values())) > LONGEST:
            voted += next(iter(stretch.values()))
            continue
        voted += _decide(_align(stretch), weight, [vendor for vendor in order if vendor in heard], covered or {})
    return sorted(voted, key=_place)


def _place(word: Word) -> tuple[float, float]:
    return (word.start, word.end)


def _stretches(heard: Mapping[str, Sequence[Word]]) -> list[dict[str, list[Word]]]:
    """Divide where every vendor hears a pause. The vendors keep their order of weight."""
    everything = sorted(
        ((word, vendor) for vendor, words in heard.items() for word in words), key=lambda x: _place(x[0])
    )
    found: list[dict[str, list[Word]]] = []
    until = float("-inf")
    for word, vendor in everything:
        if word.start - APART > until + APART:
            found.append({name: [] for name in heard})
        found[-1][vendor].append(word)
        until = max(until, word.end)
    return [{name: words for name, words in stretch.items() if words} for stretch in found]


def _align(stretch: Mapping[str, Sequence[Word]]) -> list[_Slot]:
    slots: list[_Slot] = []
    for vendor, words in stretch.items():
        slots = _merged(slots, vendor, words)
    return slots


def _merged(slots: list[_Slot], vendor: str, words: Sequence[Word]) -> list[_Slot]:
    """Edit distance between slots and words; a word joins a slot or makes its own."""
    rows, columns = len(slots) + 1, len(words) + 1
    cost = [[0.0] * columns for _ in range(rows)]
    for j in range(1, columns):
        cost[0][j] = j * _GAP
    for i in range(1, rows):
        cost[i][0] = i * _GAP
        for j in range(1, columns):
            cost[i][j] = min(
                cost[i - 1][j - 1] + _pairing(slots[i - 1], words[j - 1]), cost[i - 1][j] + _GAP, cost[i][j - 1] + _GAP
            )
    merged: list[_Slot] = []
    i, j = rows - 1, columns - 1
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + _pairing(slots[i - 1], words[j - 1]):
            slots[i - 1].add(vendor, words[j - 1])
            merged.append(slots[i - 1])
            i, j = i - 1, j - 1
        elif j and cost[i][j] == cost[i][j - 1] + _GAP:
            word = words[j - 1]
            slot = _Slot((word.start + word.end) / 2)
            slot.add(vendor, word)
            merged.append(slot)
            j -= 1
        else:
            merged.append(slots[i - 1])
            i -= 1
    merged.reverse()
    return merged


def _pairing(slot: _Slot, word: Word) -> float:
    if abs(slot.middle - (word.start + word.end) / 2) > NEAR:
        return _NEVER
    return 0.0 if plain(word.text) in slot.texts else _OTHER


def _decide(
    slots: Sequence[_Slot], weight: Mapping[str, float], order: Sequence[str], covered: Mapping[str, Sequence[Span]]
) -> list[Word]:
    """The heaviest text wins; *no word* wins only with more weight; a draw goes to the heaviest vendor."""
    chosen: list[Word] = []
    for slot in slots:
        votes: dict[str, float] = {}
        for vendor in order:
            word = slot.words.get(vendor)
            if word is None and vendor in covered and not _within(slot.middle, covered[vendor]):
                continue
            text = plain(word.text) if word is not None else ""
            votes[text] = votes.get(text, 0.0) + weight[vendor]
        best = max(votes, key=lambda text: votes[text])  # the first of equals: the heaviest vendor's
        if best:
            chosen.append(next(slot.words[v] for v in order if v in slot.words and plain(slot.words[v].text) == best))
    return chosen


def _within(moment: float, spans: Sequence[Span]) -> bool:
    return any(start <= moment <= end for start, end in spans)


def in_shown_segments(words: Sequence[Word], shown: Sequence[Segment], scope: str) -> list[Segment]:
    """The voted words in the places of the shown segments, under their ids and with their speakers and names.

    Vendors' speaker labels do not mean the same, so who spoke is what was shown. A word between two segments joins the
    nearer one; one far from all of them makes a segment of its own, of the nearest speaker.
    """
    if not shown:
        return []
    shown = sorted(shown, key=lambda segment: segment.start)
    starts = [segment.start for segment in shown]
    groups: dict[int, list[Word]] = {}
    apart: list[tuple[int, Word]] = []
    for word in words:
        after = bisect_right(starts, word.start)  # its segment begins before it, or is a neighbour of that one
        near = range(max(0, after - 2), min(len(shown), after + 1))
        nearest = min(near, key=lambda index: (_distance(word, shown[index]), index))
        if _distance(word, shown[nearest]) > SAME_SPEAKER_GAP:
            apart.append((nearest, word))
        else:
            groups.setdefault(nearest, []).append(word)
    made = [_filled(shown[index], shown[index].id, group) for index, group in groups.items()]
    made += [_filled(shown[at], segment_id(f"{scope}/{MODEL}", n), [word]) for n, (at, word) in enumerate(apart)]
    return sorted(made, key=lambda segment: (segment.start, segment.end))


def _distance(word: Word, segment: Segment) -> float:
    middle = (word.start + word.end) / 2
    return max(segment.start - middle, middle - segment.end, 0.0)


def _filled(like: Segment, identity: str, words: Sequence[Word]) -> Segment:
    start = round(max(0.0, words[0].start), 3)
    return like.model_copy(
        update={
            "id": identity,
            "text": clean_text(" ".join(word.text for word in words)),
            "start": start,
            "end": round(max(start + 0.01, *(word.end for word in words)), 3),
            "stt_provider": MODEL,
        }
    )
