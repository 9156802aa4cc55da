"""Voted words in the places of the shown segments. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from transcription.segments import SAME_SPEAKER_GAP, Segment, Word, segment_id, text_of

MODEL = "consensus"
"""The name under which the vote is stored."""


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
            "text": text_of(words),
            "start": start,
            "end": round(max(start + 0.01, *(word.end for word in words)), 3),
            "stt_provider": MODEL,
        }
    )
