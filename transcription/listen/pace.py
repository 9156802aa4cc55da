"""How fast one client may send: seconds of audio, number of frames, and text against the clock. Pure."""

from __future__ import annotations

import time

BURST_SECONDS = 15.0
BURST_FRAMES = 3000
FRAMES_PER_SECOND = 1000.0
FRAMES_PER_AUDIO_SECOND = 100.0
"""Opus of 10 ms: the smallest frames that an honest client sends at any speed."""


class Pace:
    """Bounds how fast one client sends audio. ``take`` gives the seconds to wait before reading on. ``abusive``: far
    more frames than any audio needs."""

    def __init__(self, max_speed: float, now: float | None = None) -> None:
        self._speed = max_speed
        self._began = time.monotonic() if now is None else now
        self._audio = 0.0
        self._tiny = 0.0  # frames beyond what their audio explains
        self._told = False
        self.frames = 0

    def take(self, seconds: float, now: float) -> float:
        self.frames += 1
        self._audio += seconds
        self._tiny += max(0.0, 1.0 - seconds * FRAMES_PER_AUDIO_SECOND)
        elapsed = now - self._began
        ahead = self._audio - BURST_SECONDS - elapsed * self._speed
        return min(1.0, ahead / self._speed) if ahead > 0 else 0.0

    def nothing(self) -> None:
        """A frame without audio (a keep-alive, an empty message): counted, for a flood of them is no audio either."""
        self.frames += 1
        self._tiny += 1.0

    @property
    def abusive(self) -> bool:
        return self._tiny - BURST_FRAMES > (time.monotonic() - self._began) * FRAMES_PER_SECOND

    def tell_once(self) -> bool:
        told, self._told = self._told, True
        return not told


TEXTS_PER_SECOND = 20.0
BURST_TEXTS = 200.0
TEXT_BYTES = 1024
"""A longer text counts as several: reading one of 64 kB takes a millisecond in which every other socket waits."""


class TextPace:
    """A bucket of text messages. ``take`` gives the seconds to wait before the message is read."""

    def __init__(self, now: float | None = None) -> None:
        self._left = BURST_TEXTS
        self._at = time.monotonic() if now is None else now

    def take(self, size: int, now: float) -> float:
        self._left = min(BURST_TEXTS, self._left + max(0.0, now - self._at) * TEXTS_PER_SECOND)
        self._at = now
        self._left -= 1.0 + size / TEXT_BYTES
        return max(0.0, -self._left / TEXTS_PER_SECOND)
