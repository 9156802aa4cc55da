"""Diarization put to use: speakers for words whose provider gives none, and one label for one voice where a vendor
counted anew after a reconnect."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from omi.providers import one
from speakers.calibration import calibration_of
from speakers.clips import Recording, Turn, centroid, gather
from speakers.diarization import diarize
from speakers.engines import VoiceEngine
from speakers.engines.registry import ConfiguredVoices
from speakers.engines.scale import scale_of
from speakers.policy import EVIDENCE, SAME
from transcription.segments import Segment, Word, fill_missing_speakers, speaker_label, speaker_number

Key = tuple[int, str]
"""A connection and the label that it gave."""


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
    segments: Sequence[Segment], wav: Path, *, starts: Sequence[float] = (), audio_offset: float = 0.0
) -> list[Segment]:
    """Give the same voice the same label across the connections on which it was heard: each counts speakers anew.

    ``starts``: when each session of the conversation begins, in the segments' time (none: it is one). Labels of
    different connections are first told apart (``SPEAKER_00`` before and after a reconnect are two voices until heard
    to be one), then joined where they are one voice with a probability of ``SAME`` and each has ``EVIDENCE``
    seconds; the earlier label stays. Times, texts, ids and names stay. With one connection nothing is embedded. Raises
    ProviderError and BadRecording.
    """
    owner = connections(segments, starts)
    keys = list(dict.fromkeys(owner))
    if len({group for group, _ in keys}) < 2:
        return list(segments)
    voices: ConfiguredVoices = one("voices")
    turns = {key: [(s.start, s.end) for s, k in zip(segments, owner, strict=True) if k == key] for key in keys}
    vectors: dict[Key, np.ndarray] = {}
    with Recording(wav, offset=audio_offset) as recording:
        for key in keys:
            others = [turn for other in keys if other != key for turn in turns[other]]
            evidence = gather(recording, turns[key], others=others)
            if evidence.seconds < EVIDENCE:
                continue
            vector = centroid(voices.embed_segments(evidence.pcm, evidence.cuts), evidence.weights)
            if vector is not None:
                vectors[key] = vector
    labels = _labels(keys, joined(keys, vectors, _likeness(voices)))
    return [segment.model_copy(update={"speaker": labels[key]}) for segment, key in zip(segments, owner, strict=True)]


def connections(segments: Sequence[Segment], starts: Sequence[float] = ()) -> list[Key]:
    """For each segment its connection (a number) and label. Labels of one connection are known to be different voices.

    A connection ends where a session does (``starts``), where another provider speaks, and at every moment that no
    label reaches across: after a reconnect all labels are new ones. Voices that merely never took turns look like two
    connections, too; then their embeddings decide.
    """
    begins = sorted(starts)
    reach: dict[tuple[int, str, str], list[float]] = {}
    for segment in segments:
        label = (bisect_right(begins, segment.start), segment.stt_provider or "", segment.speaker)
        known = reach.setdefault(label, [segment.start, segment.end])
        known[0], known[1] = min(known[0], segment.start), max(known[1], segment.end)
    groups: dict[tuple[int, str, str], int] = {}
    until: dict[tuple[int, str], float] = {}
    for label, (start, end) in sorted(reach.items(), key=lambda item: (item[1][0], item[0])):
        stream = label[:2]
        same = start < until.get(stream, -1.0)
        last = next((groups[other] for other in reversed(groups) if other[:2] == stream), None)
        groups[label] = last if same and last is not None else len(set(groups.values()))
        until[stream] = max(end, until.get(stream, end))
    return [
        (groups[bisect_right(begins, item.start), item.stt_provider or "", item.speaker], item.speaker)
        for item in segments
    ]


def _labels(keys: Sequence[Key], same: dict[Key, Key]) -> dict[Key, str]:
    """Each voice keeps the label it had first; where that is taken by an earlier voice it gets the next free number."""
    given: dict[Key, str] = {}
    taken: set[str] = set()
    free = max((speaker_number(label) for _, label in keys), default=0) + 1
    for key in keys:
        voice = same[key]
        if voice in given:
            continue
        label = key[1]
        if label in taken:
            label, free = speaker_label(free), free + 1
        given[voice] = label
        taken.add(label)
    return {key: given[same[key]] for key in keys}


def _likeness(voices: VoiceEngine) -> Callable[[np.ndarray, np.ndarray], float]:
    """How far two voices are above what makes them one (0 and more: they are one): the calibrated probability against
    ``SAME``, or for an engine without calibration the cosine against its ``Scale.label``."""
    calibration = calibration_of(voices.name, voices.version)
    if calibration is not None:
        return lambda a, b: calibration.same(a, b) - SAME
    least = scale_of(voices).label
    return lambda a, b: float(a @ b) - least


def joined(
    keys: Sequence[Key], vectors: dict[Key, np.ndarray], likeness: Callable[[np.ndarray, np.ndarray], float]
) -> dict[Key, Key]:
    """Each key's representative. Greedy, closest pair first, and only where every label of the one voice is like every
    label of the other; two labels of one group are never joined: there the vendor heard both at once and told them
    apart."""
    pairs = sorted(
        (
            (likeness(vectors[a], vectors[b]), a, b)
            for i, a in enumerate(keys)
            for b in keys[i + 1 :]
            if a in vectors and b in vectors and a[0] != b[0]
        ),
        key=lambda pair: (-pair[0], pair[1][0], speaker_number(pair[1][1])),
    )
    parent = {key: key for key in keys}
    members = {key: {key} for key in keys}
    for alike, a, b in pairs:
        first, second = parent[a], parent[b]
        if alike < 0 or first == second:
            continue
        if {key[0] for key in members[first]} & {key[0] for key in members[second]}:
            continue
        if any(likeness(vectors[x], vectors[y]) < 0 for x in members[first] for y in members[second]):
            continue
        for key in members.pop(second):
            parent[key] = first
            members[first].add(key)
    return parent
