"""Which live voices are one voice, by what another vendor heard at the same time. Pure.

A vendor counts its speakers anew with every connection. Where another one heard the session on one connection, its
labels say who is who across the drops of the first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence

from transcription.segments import MAX_SEGMENT_SECONDS, Segment, speaker_number

MOST = 0.6
"""Share of a voice's seconds that must lie under one label of the other vendor: less is a voice that it mixes."""
LEAST_SECONDS = 0.5
LONGEST = MAX_SEGMENT_SECONDS + 1.0

Key = tuple[int, str]
"""A connection and the label that it gave."""


def joined(segments: Sequence[Segment], owner: Sequence[Key], heard: Sequence[Segment]) -> list[Segment]:
    """``segments`` with one label for each voice that ``heard`` (another vendor's transcript of the same audio, on one
    connection) knows. ``owner``: of each segment. Voices of one connection are never joined: it heard both and told
    them apart; of two that share a label the one with more seconds has it."""
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
    voice: dict[Key, Hashable] = {}
    for key in sorted(shared, key=lambda key: -sum(shared[key].values())):
        label = max(shared[key], key=lambda name: shared[key][name])
        seconds, total = shared[key][label], sum(shared[key].values())
        if seconds >= LEAST_SECONDS and seconds >= MOST * total and (key[0], label) not in taken:
            taken[key[0], label] = key
            voice[key] = label
    return relabelled(segments, owner, voice)


def relabelled(segments: Sequence[Segment], owner: Sequence[Key], voice: Mapping[Key, Hashable]) -> list[Segment]:
    """One label for all keys of a voice: the first one's. Keys without a voice keep theirs, or get a free number where
    another voice has it."""
    names: dict[Hashable, str] = {}
    used: set[str] = set()
    free = max((speaker_number(item.speaker) for item in segments), default=0) + 1
    result = []
    for item, key in zip(segments, owner, strict=True):
        whose = voice.get(key, key)
        if whose not in names:
            name = item.speaker
            if name in used:
                name, free = f"SPEAKER_{free:02d}", free + 1
            names[whose] = name
            used.add(name)
        result.append(item if item.speaker == names[whose] else item.model_copy(update={"speaker": names[whose]}))
    return result
