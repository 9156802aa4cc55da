"""Diarization put to use: speakers for words whose provider gives none, and one label for one voice where a vendor
counted anew after a reconnect."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from omi.core.providers import one
from speakers.clips import Recording, Turn, centroid, gather
from speakers.diarization import diarize
from speakers.engines.registry import ConfiguredVoices
from speakers.engines.scale import Scale, scale_of
from transcription.segments import Segment, Word, fill_missing_speakers, speaker_label, speaker_number

Key = tuple[int, str]
"""A connection and the label that it gave."""
LEAST: Final = 0.5
"""Seconds of voiced speech below which nothing can be said of a voice."""
SHORT: Final = 1.0
LONG: Final = 10.0
"""Seconds of evidence between which the bound of ``joined`` rises: a sentence of one voice is less like the rest of it
than halves of a talk are."""
CLEAR: Final = 0.20
EASIER: Final = 0.08
"""A pair that is by the first more alike than either is to any other voice that it might be needs the second less where
one of them says a second, and less of that where it says more: who says a word after a drop is mostly one of those who
were there. These and the bounds of the engine were chosen on the
choosing side's conversations (``bench.label_drops --half choosing --short``), as the ones that join the most without a
second of one speaker under another one's label."""
MOST_VOICES: Final = 400
"""Voices that are compared, those who say most: work grows with the cube. Fifty drops of a meeting of eight."""


def assign_speakers(
    words: Sequence[Word],
    wav: Path,
    regions: Sequence[Turn] | None = None,
    *,
    max_speakers: int = 8,
    audio_offset: float = 0.0,
) -> list[Word]:
    """Return ``words`` with the label of the voice that speaks most of each: same order, times and texts, nothing lost.

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
    segments: Sequence[Segment],
    wav: Path,
    *,
    starts: Sequence[float] = (),
    audio_offset: float = 0.0,
    known: Mapping[Key, Hashable] | None = None,
) -> list[Segment]:
    """Give the same voice the same label across the connections on which it was heard: each counts speakers anew.

    ``starts``: when each session of the conversation begins, in the segments' time (none: it is one). ``known``: the
    voice of those labels (keys of ``connections``) of which somebody else said whose they are. Labels of different
    connections are first told apart (``SPEAKER_00`` before and after a reconnect are two voices until heard to be
    one), then joined by ``joined``; the earlier label stays. Times, texts, ids and names stay. With one connection
    nothing is embedded. Raises ProviderError and BadRecording.
    """
    owner = connections(segments, starts)
    if len({group for group, _ in owner}) < 2:
        return list(segments)
    voices: ConfiguredVoices = one("voices")
    begun: dict[Key, Hashable] = {key: (known or {}).get(key, key) for key in dict.fromkeys(owner)}
    turns: dict[Hashable, list[tuple[float, float]]] = {}
    groups: dict[Hashable, set[int]] = {}
    for segment, key in zip(segments, owner, strict=True):
        turns.setdefault(begun[key], []).append((segment.start, segment.end))
        groups.setdefault(begun[key], set()).add(key[0])
    heard: dict[Hashable, Heard] = {}
    with Recording(wav, offset=audio_offset) as recording:
        for voice in sorted(turns, key=lambda name: sum(start - end for start, end in turns[name]))[:MOST_VOICES]:
            others = [turn for other in turns if other != voice for turn in turns[other]]
            evidence = gather(recording, turns[voice], others=others)
            if evidence.seconds < LEAST:
                continue
            vector = centroid(voices.embed_segments(evidence.pcm, evidence.cuts), evidence.weights)
            if vector is not None:
                heard[voice] = Heard(vector, evidence.seconds, frozenset(groups[voice]))
    same = joined(heard, scale_of(voices))
    return relabelled(segments, owner, {key: same.get(voice, voice) for key, voice in begun.items()})


def connections(segments: Sequence[Segment], starts: Sequence[float] = ()) -> list[Key]:
    """Return for each segment its connection (a number) and label. Labels of one connection are known to be different
    voices.

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


def relabelled(segments: Sequence[Segment], owner: Sequence[Key], voice: Mapping[Key, Hashable]) -> list[Segment]:
    """Return the segments with one label for all keys of a voice (``owner``: the key of each segment): the one it had
    first; where an earlier voice has that, the next free number. A key that is not in ``voice`` is a voice of its own.
    """
    names: dict[Hashable, str] = {}
    used: set[str] = set()
    free = max((speaker_number(item.speaker) for item in segments), default=0) + 1
    result = []
    for item, key in zip(segments, owner, strict=True):
        whose = voice.get(key, key)
        if whose not in names:
            name = item.speaker
            if name in used:
                name, free = speaker_label(free), free + 1
            names[whose] = name
            used.add(name)
        result.append(item if item.speaker == names[whose] else item.model_copy(update={"speaker": names[whose]}))
    return result


class Heard(NamedTuple):
    """What was heard of a voice: its unit mean, the seconds of voiced speech in it, and the connections it was on."""

    vector: NDArray[np.float32]
    seconds: float
    groups: frozenset[int]


def joined(heard: Mapping[Hashable, Heard], scale: Scale) -> dict[Hashable, Hashable]:
    """Each voice's representative (itself for one that nobody else is).

    All voices at once, not pair by pair: the two that are clearest above their bound become one, which is then
    compared as a whole, until no two are left that are one. The bound on their cosine rises with the evidence of the
    one that said less, from ``Scale.sentence`` at ``SHORT`` seconds to ``Scale.label`` at ``LONG``, and is lower by up
    to ``EASIER`` for two that are clear of all others. Two voices of one connection are never joined: there the vendor
    heard both and told them apart.
    """
    names = list(heard)
    same: dict[Hashable, Hashable] = {name: name for name in names}
    if len(names) < 2:
        return same
    seconds = np.array([heard[name].seconds for name in names])
    sums = np.stack([heard[name].vector for name in names]).astype(np.float64) * seconds[:, None]
    groups = [set(heard[name].groups) for name in names]
    apart = np.array([[bool(first & second) for second in groups] for first in groups])
    for _ in range(len(names) - 1):
        means = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        share = np.clip((np.minimum.outer(seconds, seconds) - SHORT) / (LONG - SHORT), 0.0, 1.0)
        alike = np.where(apart, -1.0, means @ means.T)
        bound = scale.sentence + share * (scale.label - scale.sentence)
        easier = np.where(alike - _rivals(alike) >= CLEAR, EASIER * (1 - share), 0.0)
        above = alike - (bound - easier)
        above[apart] = -np.inf
        first, second = sorted(np.unravel_index(int(above.argmax()), above.shape))
        if above[first, second] < 0:
            break
        sums[first] += sums[second]
        seconds[first] += seconds[second]
        groups[first] |= groups[second]
        apart[first] |= apart[second]
        apart[:, first] = apart[first]
        apart[second, :] = apart[:, second] = True
        same = {name: names[first] if whose == names[second] else whose for name, whose in same.items()}
    return same


def _rivals(alike: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each pair the cosine, at least 0, of the other voice that is most like one of the two: (voices, voices)."""
    two = np.sort(alike, axis=1)[:, -2:]
    others = np.where(alike >= two[:, 1:], two[:, :1], two[:, 1:])  # of each row without this column
    return np.asarray(np.maximum(np.maximum(others, others.T), 0.0))
