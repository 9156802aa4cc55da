"""Live voices that said too little on their connection to be judged alone: to whom they are most alike.

Three drops in a talk of a minute leave connections in which somebody says one sentence. Apart from all others they
would be voices of their own, and most of a talk in short stretches would have the wrong speaker.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from memories.pipeline.same_time import Key, relabelled
from omi.providers import one
from speakers.clips import Recording, centroid, gather
from speakers.engines.scale import Scale, scale_of
from speakers.policy import EVIDENCE
from transcription.segments import Segment

LEAST: Final = 0.8
"""Seconds of voiced speech below which nothing can be said of a voice."""

Vector = NDArray[np.float32]


def joined(segments: Sequence[Segment], owner: Sequence[Key], wav: Path) -> list[Segment]:
    """``segments`` (with joined labels) in which labels of little evidence have joined the voice they are like.

    ``owner``: the connection, and the label that it gave, of each. Raises ProviderError and BadRecording.
    """
    turns: dict[str, list[tuple[float, float]]] = defaultdict(list)
    groups: dict[str, set[int]] = defaultdict(set)
    for item, key in zip(segments, owner, strict=True):
        turns[item.speaker].append((item.start, item.end))
        groups[item.speaker].add(key[0])
    engine = one("voices")
    vectors: dict[str, Vector] = {}
    seconds: dict[str, float] = {}
    with Recording(wav) as recording:
        for label in turns:
            others = [turn for other in turns if other != label for turn in turns[other]]
            evidence = gather(recording, turns[label], others=others)
            seconds[label] = evidence.seconds
            if evidence.seconds >= LEAST:
                vector = centroid(engine.embed_segments(evidence.pcm, evidence.cuts), evidence.weights)
                if vector is not None:
                    vectors[label] = vector
    same = nearest(vectors, seconds, groups, scale_of(engine))
    keys = [(0, item.speaker) for item in segments]
    return relabelled(segments, keys, {(0, label): ("voice", to) for label, to in same.items()})


def nearest(
    vectors: dict[str, Vector], seconds: dict[str, float], groups: dict[str, set[int]], scale: Scale
) -> dict[str, str]:
    """Label to the label that it is one voice with (itself for most). A label of less than ``EVIDENCE`` seconds joins
    the voice that it is like by ``Scale.utterance``, and more than any other by the margin. Two labels of one
    connection are never joined."""
    same = {label: label for label in vectors}
    held = {label: set(numbers) for label, numbers in groups.items()}
    short = sorted((label for label in vectors if seconds[label] < EVIDENCE), key=lambda label: -seconds[label])
    for label in short:
        likeness = sorted(
            (
                (float(vectors[label] @ vectors[other]), other)
                for other in vectors
                if same[other] == other and other != label and not held[other] & held[label]
            ),
            reverse=True,
        )
        if not likeness or likeness[0][0] < scale.utterance:
            continue
        if len(likeness) > 1 and likeness[0][0] - likeness[1][0] < scale.margin:
            continue
        best = likeness[0][1]
        for member, whose in list(same.items()):
            if whose == label:
                same[member] = best
        same[label] = best
        held[best] |= held[label]
    return same
