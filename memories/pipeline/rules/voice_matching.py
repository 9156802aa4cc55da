"""Which live voices are one voice, by what another vendor heard at the same time. Pure.

A vendor counts its speakers anew with every connection. Where another one heard the session on one connection, its
labels say who is who across the drops of the first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence

from speakers.turns import Key
from transcription.segments import MAX_SEGMENT_SECONDS, Segment

MOST = 0.6
"""Share of a voice's seconds that must lie under one label of the other vendor: less is a voice that it mixes."""
LEAST_SECONDS = 0.5
LONGEST = MAX_SEGMENT_SECONDS + 1.0


def voices(segments: Sequence[Segment], owner: Sequence[Key], heard: Sequence[Segment]) -> dict[Key, str]:
    """The label that each key of ``owner`` (of each of ``segments``) has in ``heard``, another vendor's transcript of
    the same audio on one connection; keys of which it cannot be told are left out. Two voices of one connection never
    have the same: it heard both and told them apart; the one with more seconds has it."""
    shared: dict[Key, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    ordered = sorted(heard, key=lambda item: item.start)
    starts = [item.start for item in ordered]
    for item, key in zip(segments, owner, strict=True):
        first = bisect_left(starts, item.start - LONGEST)
        for other in ordered[first : bisect_right(starts, item.end)]:
            seconds = min(item.end, other.end) - max(item.start, other.start)
            if seconds > 0:
                shared[key][other.speaker] += seconds
    taken: dict[tuple[int, str], Key] = {}
    voice: dict[Key, str] = {}
    for key in sorted(shared, key=lambda key: -sum(shared[key].values())):
        label = max(shared[key], key=lambda name: shared[key][name])
        seconds, total = shared[key][label], sum(shared[key].values())
        if seconds >= LEAST_SECONDS and seconds >= MOST * total and (key[0], label) not in taken:
            taken[key[0], label] = key
            voice[key] = label
    return voice
