"""Diarization put to use: speakers for words whose provider gives none, and one label for one voice where a vendor
counted anew after a reconnect."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omi.providers import one
from speakers.clips import Recording, Turn, centroid, gather, windows
from speakers.diarization import diarize
from speakers.engines.registry import ConfiguredVoices
from speakers.policy import EVIDENCE, SAME_VOICE
from transcription.segments import Segment, Word, fill_missing_speakers, speaker_label, speaker_number


def assign_speakers(
    words: Sequence[Word],
    wav: Path,
    regions: Sequence[Turn] | None = None,
    *,
    max_speakers: int = 8,
    audio_offset: float = 0.0,
) -> list[Word]:
    """``words`` with the label of the voice that speaks most of each: same order, times and texts, nothing lost.

    ``regions`` (speech, in the recording's seconds) are found when not given; ``audio_offset`` is the time of the
    WAV's first sample in the words' time base. Words outside of all speech take the label of the nearest word. Where
    no voice is found the labels stay None. Raises ProviderError and BadRecording.
    """
    if not words:
        return []
    voices: ConfiguredVoices = one("voices")
    with Recording(wav) as recording:
        pcm = recording.cut(0.0, recording.seconds)
    speech = list(regions) if regions is not None else voices.speech_regions(pcm)
    turns = sorted(diarize(pcm, speech, voices, max_speakers), key=lambda turn: turn.start)
    starts = [turn.start for turn in turns]
    labelled = []
    for word in words:
        begin, end = word.start - audio_offset, max(word.end, word.start + 0.01) - audio_offset
        held: dict[int, float] = {}
        at = max(0, bisect_right(starts, begin) - 1)
        while at < len(turns) and turns[at].start < end:
            shared = min(end, turns[at].end) - max(begin, turns[at].start)
            if shared > 0:
                held[turns[at].speaker] = held.get(turns[at].speaker, 0.0) + shared
            at += 1
        best = max(held, key=lambda speaker: held[speaker]) if held else None
        labelled.append(word.model_copy(update={"speaker": speaker_label(best) if best is not None else None}))
    return fill_missing_speakers(labelled)


def repair_labels(
    segments: Sequence[Segment], wav: Path, *, groups: Sequence[Turn] = (), audio_offset: float = 0.0
) -> list[Segment]:
    """Give the same voice the same label across ``groups`` (stretches with speaker numbers of their own: one per vendor
    connection, in the segments' time; none: the whole is one).

    Labels of different groups are first told apart (a vendor's ``SPEAKER_00`` before and after a reconnect are two
    voices until heard to be one), then joined where their embeddings agree and each has ``EVIDENCE`` seconds. Times,
    texts, ids and names stay; numbers are given in order of first appearance. Raises ProviderError and BadRecording.
    """
    if not segments:
        return []
    owner = [(_group(segment, groups), segment.speaker) for segment in segments]
    keys = list(dict.fromkeys(owner))
    voices: ConfiguredVoices = one("voices")
    turns = {key: [(s.start, s.end) for s, k in zip(segments, owner, strict=True) if k == key] for key in keys}
    vectors: dict[tuple[int, str], np.ndarray] = {}
    with Recording(wav, offset=audio_offset) as recording:
        for key in keys:
            others = [turn for other in keys if other != key for turn in turns[other]]
            evidence = gather(recording, turns[key], others=others)
            vector = centroid(voices.embed_segments(evidence.pcm, windows(evidence.seconds)))
            if vector is not None and evidence.seconds >= EVIDENCE:
                vectors[key] = vector
    same = _joined(keys, vectors)
    numbers: dict[tuple[int, str], int] = {}
    for key in owner:
        numbers.setdefault(same[key], len(numbers))
    return [
        segment.model_copy(update={"speaker": speaker_label(numbers[same[key]])})
        for segment, key in zip(segments, owner, strict=True)
    ]


def _group(segment: Segment, groups: Sequence[Turn]) -> int:
    """The group in which most of the segment lies; 0 where there are none."""
    middle = (segment.start + segment.end) / 2
    ends = [end for _, end in sorted(groups)]
    return min(bisect_right(ends, middle), max(0, len(ends) - 1))


def _joined(
    keys: Sequence[tuple[int, str]], vectors: dict[tuple[int, str], np.ndarray]
) -> dict[tuple[int, str], tuple[int, str]]:
    """Each key's representative. Greedy, closest pair first; two labels of one group are never joined: there the vendor
    heard both at once and told them apart."""
    pairs = sorted(
        (
            (float(vectors[a] @ vectors[b]), a, b)
            for i, a in enumerate(keys)
            for b in keys[i + 1 :]
            if a in vectors and b in vectors and a[0] != b[0]
        ),
        key=lambda pair: (-pair[0], pair[1][0], speaker_number(pair[1][1])),
    )
    parent = {key: key for key in keys}
    members = {key: {key} for key in keys}
    for likeness, a, b in pairs:
        first, second = parent[a], parent[b]
        if likeness < SAME_VOICE or first == second:
            continue
        if {key[0] for key in members[first]} & {key[0] for key in members[second]}:
            continue
        for key in members.pop(second):
            parent[key] = first
            members[first].add(key)
    return parent
