"""Cutting a recording into what can be said of a voice: in the audio's own time, voiced speech only, pooled."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transcription.spans import merge, subtract

RATE = 16_000
FRAME = 320  # 20 ms, which WebRTC's detector takes
WINDOW = 1.6
"""Seconds of one window, in which two voices are told apart (``speakers.diarization``, ``speakers.quality``)."""
PIECE = 6.0
"""Seconds of a voice that are embedded at once: longer ones add nothing to their mean (docs/speakers.md)."""
GROUP = 3.0
"""Seconds of speech, at least, that are embedded together: single words would say less. Under twice as many: a
long turn is divided evenly, so that two people in one turn are seen. The mean is as good as of longer pieces."""
MOST_EVIDENCE = 60.0
"""Seconds of one voice that are embedded: EER is flat from 5 s on, and an hour must take seconds (docs/speakers.md)."""
LONGEST_TURN = 15.0
"""Seconds taken from one turn, so that evidence comes from the whole recording."""
FEWEST_MOMENTS = 5
"""Windows from which on they are judged by themselves: 8 s, what a name is earned with."""
MOST_LISTENED = 24.0
"""Seconds of a voice whose windows are embedded too, whether it is one person at every moment of them."""

Turn = tuple[float, float]


class BadRecording(ValueError):
    """The file is not 16 kHz mono 16-bit WAV, or cannot be read."""


class Recording:
    """Random access to a 16 kHz mono WAV file. ``offset`` is the time of its first sample in the segments' time
    base."""

    def __init__(self, path: Path, *, offset: float = 0.0) -> None:
        try:
            self._wave = wave.open(str(path), "rb")  # noqa: SIM115 (closed by __exit__)
        except (OSError, EOFError, wave.Error) as error:
            raise BadRecording(f"the recording cannot be read: {error}") from error
        form = (self._wave.getframerate(), self._wave.getnchannels(), self._wave.getsampwidth())
        if form != (RATE, 1, 2):
            self._wave.close()
            raise BadRecording(f"the recording must be 16 kHz mono 16-bit, not {form[0]} Hz, {form[1]} channels")
        self.offset = offset
        self.seconds = self._wave.getnframes() / RATE

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self._wave.close()

    def cut(self, start: float, end: float) -> NDArray[np.int16]:
        """Samples between two moments of the segments' time base; what lies outside of the file is left out."""
        first = max(0, round((start - self.offset) * RATE))
        last = min(self._wave.getnframes(), round((end - self.offset) * RATE))
        if last <= first:
            return np.zeros(0, np.int16)
        self._wave.setpos(first)
        return np.frombuffer(self._wave.readframes(last - first), "<i2").astype(np.int16)


class Evidence(NamedTuple):
    """Pooled speech of one voice: voiced audio only, ``seconds`` of it, the turns it came from, and the ``cuts``
    (seconds of ``pcm``) that are embedded one by one: short turns together and long ones in parts, each of ``GROUP``
    seconds or more but for the last."""

    pcm: NDArray[np.int16]
    seconds: float
    turns: list[Turn]
    cuts: list[Turn]

    @property
    def weights(self) -> NDArray[np.float32]:
        """Seconds of each cut."""
        return np.array([end - start for start, end in self.cuts], np.float32)

    @property
    def moments(self) -> list[Turn]:
        """Windows of ``WINDOW`` seconds side by side over the first ``MOST_LISTENED`` of ``pcm``; none where they would
        be fewer than ``FEWEST_MOMENTS``. What is added behind leaves them as they are."""
        count = int(min(self.seconds, MOST_LISTENED) / WINDOW + 1e-6)
        return [(n * WINDOW, (n + 1) * WINDOW) for n in range(count)] if count >= FEWEST_MOMENTS else []


def gather(recording: Recording, turns: Sequence[Turn], *, others: Sequence[Turn] = ()) -> Evidence:
    """Speech of a voice from its turns. Stretches in which ``others`` speak too are left out.

    Of each turn its middle, ``LONGEST_TURN`` at most, the longest first (they are the surest); where that is not
    ``MOST_EVIDENCE`` in all, the rest of the long ones, too: under one label several people may have spoken in turns.
    """
    alone = without(turns, others)
    chosen: list[Turn] = []
    total = 0.0
    for start, end in [*_longest_first(map(_middle, alone)), *_longest_first(_rests(alone))]:
        if total >= MOST_EVIDENCE * 1.5:  # pauses will be taken out
            break
        chosen.append((start, end))
        total += end - start
    chosen = merge(chosen)
    return pooled([voiced(recording.cut(start, end)) for start, end in chosen], chosen)


def _longest_first(turns: Iterable[Turn]) -> list[Turn]:
    return sorted(turns, key=lambda turn: turn[0] - turn[1])


def _middle(turn: Turn) -> Turn:
    start, end = turn
    length = min(end - start, LONGEST_TURN)
    middle = (start + end) / 2
    return round(middle - length / 2, 3), round(middle + length / 2, 3)


def _rests(turns: Sequence[Turn]) -> list[Turn]:
    """What ``_middle`` leaves of each turn, in parts of at most ``LONGEST_TURN``."""
    found = []
    for start, end in without(turns, map(_middle, turns)):
        count = int(np.ceil((end - start) / LONGEST_TURN))
        edges = np.linspace(start, end, count + 1)
        found += [(round(float(a), 3), round(float(b), 3)) for a, b in pairwise(edges)]
    return found


def pooled(speech: Sequence[NDArray[np.int16]], turns: Sequence[Turn] = ()) -> Evidence:
    """Voiced audio, turn by turn, as one evidence, cut at ``MOST_EVIDENCE``. What is added behind leaves the cuts
    before it as they are, but for the last one."""
    pcm = np.concatenate(speech) if len(speech) else np.zeros(0, np.int16)
    pcm = pcm[: round(MOST_EVIDENCE * RATE)]
    edges, at = [0], 0
    for item in speech:
        at = min(at + len(item), len(pcm))
        since, parts = edges[-1], int((at - edges[-1]) / (GROUP * RATE))
        edges += [since + (at - since) * part // parts for part in range(1, parts + 1)]
    if edges[-1] < len(pcm):
        edges.append(len(pcm))
    cuts = [(first / RATE, last / RATE) for first, last in pairwise(edges)]
    return Evidence(pcm, len(pcm) / RATE, list(turns), cuts)


def voiced(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """The frames in which WebRTC's detector hears speech. Digital silence and hum give an empty array."""
    import webrtcvad

    detector = webrtcvad.Vad(1)
    whole = len(pcm) - len(pcm) % FRAME
    frames = pcm[:whole].reshape(-1, FRAME)
    keep = np.array([detector.is_speech(frame.tobytes(), RATE) for frame in frames], bool)
    kept: NDArray[np.int16] = frames[keep].reshape(-1)
    return kept


def windows(seconds: float, *, hop: float | None = None) -> list[Turn]:
    """Windows of ``WINDOW`` seconds over pooled audio; overlapping ones where there is little, the last ends with
    it."""
    if seconds <= WINDOW:
        return [(0.0, seconds)] if seconds > 0 else []
    step = hop or (WINDOW / 2 if seconds < 15 else WINDOW)
    starts = list(np.arange(0.0, seconds - WINDOW + 1e-9, step))
    if seconds - WINDOW - starts[-1] > step / 4:
        starts.append(seconds - WINDOW)
    return [(float(start), float(start) + WINDOW) for start in starts]


def pieces(seconds: float) -> list[Turn]:
    """Pooled audio cut evenly into pieces of at most ``PIECE`` seconds, each of which is embedded by itself."""
    count = max(1, int(np.ceil(seconds / PIECE - 1e-6)))
    edges = np.linspace(0.0, seconds, count + 1)
    return [(float(a), float(b)) for a, b in pairwise(edges)] if seconds > 0 else []


def without(turns: Iterable[Turn], others: Iterable[Turn]) -> list[Turn]:
    """Return ``turns`` minus every stretch of ``others``; what is left of under 0.2 s is dropped."""
    return [turn for turn in subtract(merge(turns), merge(others)) if turn[1] - turn[0] >= 0.2]


def centroid(rows: NDArray[np.float32], weights: NDArray[np.float32] | None = None) -> NDArray[np.float32] | None:
    """The unit mean of unit rows; rows of zeros (nothing to embed) do not count. None where nothing is left."""
    real = np.linalg.norm(rows, axis=1) > 0.5 if len(rows) else np.zeros(0, bool)
    if not real.any():
        return None
    mean = np.average(rows[real], axis=0, weights=weights[real] if weights is not None else None)
    norm = float(np.linalg.norm(mean))
    return (mean / norm).astype(np.float32) if norm > 1e-6 else None
