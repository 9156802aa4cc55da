"""What the live simulators have in common: arriving audio to interim and final results in separate moments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from demo.vendors.recognise import Heard, Recogniser
from demo.vendors.truth import Library

RAW = {"linear16": "s16", "pcm_s16le": "s16", "mulaw": "mulaw", "alaw": "alaw", "pcm_f32le": "f32", "linear32": "s32"}
SLICE_S = 0.1


@dataclass
class Event:
    """``interim`` or ``final`` words of the utterance, ``started``, ``gap`` or ``silence``; ``now`` in stream s."""

    kind: str
    now: float
    start: float
    words: list[Heard] = field(default_factory=list)
    endpoint: bool = False


class Decoder:
    """Raw encodings, single Opus packets or a streamed WAV to mono s16le at ``rate``; ValueError on other bytes."""

    def __init__(self, encoding: str | None, rate: int, channels: int = 1) -> None:
        self.encoding, self.rate, self.channels = encoding, rate, channels
        self._left = b""
        self._opus: Any = None
        self._resampler: Any = None
        self._bad = 0
        if encoding == "opus":
            import av

            self._opus = av.CodecContext.create("opus", "r")
            self._opus.sample_rate, self._opus.layout = 48000, "stereo" if channels == 2 else "mono"
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)

    def feed(self, data: bytes) -> bytes:
        if self.encoding == "opus":
            return self._packet(data)
        if self.encoding is None:
            data = self._header(data)
            if self.encoding is None:
                return b""
        kind = RAW[self.encoding or ""]
        width = {"s16": 2, "mulaw": 1, "alaw": 1, "f32": 4, "s32": 4}[kind] * self.channels
        data = self._left + data
        cut = len(data) - len(data) % width
        data, self._left = data[:cut], data[cut:]
        if kind == "s16" and self.channels == 1:
            return data
        x = _expand(data, kind).reshape(-1, self.channels).mean(axis=1)
        return np.clip(np.rint(x), -32768, 32767).astype(np.int16).tobytes()

    def _header(self, data: bytes) -> bytes:
        data, self._left = self._left + data, b""
        if not b"RIFF".startswith(data[:4]) and data[:4] != b"RIFF":
            raise ValueError("payload cannot be decoded as audio")
        at = data.find(b"data")
        if at < 0 or len(data) < at + 8:
            self._left = data
            return b""
        self.channels = int.from_bytes(data[22:24], "little")
        self.rate = int.from_bytes(data[24:28], "little")
        self.encoding = "linear16"
        return data[at + 8 :]

    def _packet(self, data: bytes) -> bytes:
        import av

        try:
            frames = self._opus.decode(av.Packet(data))
            self._bad = 0
        except av.error.FFmpegError as error:
            self._bad += 1
            if self._bad >= 3:
                raise ValueError("payload cannot be decoded as audio") from error
            return b""
        out = [f for frame in frames for f in self._resampler.resample(frame)]
        return b"".join(f.to_ndarray().astype(np.int16).tobytes() for f in out)


def _expand(data: bytes, kind: str) -> Any:
    """Samples of a raw encoding as int16-scaled floats."""
    if kind == "s16":
        return np.frombuffer(data, "<i2").astype(np.float64)
    if kind == "s32":
        return np.frombuffer(data, "<i4") / 65536.0
    if kind == "f32":
        return np.frombuffer(data, "<f4") * 32768.0
    code = np.frombuffer(data, np.uint8).astype(np.int32)
    if kind == "mulaw":
        code = ~code & 0xFF
        value = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
        return np.where(code & 0x80, -value, value).astype(np.float64)
    code ^= 0x55
    exponent, mantissa = (code & 0x70) >> 4, (code & 0x0F) << 4
    value = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return np.where(code & 0x80, value, -value).astype(np.float64)


class Utterances:
    """Turns audio into events. ``endpoint`` s of silence ends an utterance (None: never), ``longest`` s at most."""

    def __init__(
        self, library: Library, rate: int, endpoint: float | None, longest: float = 8.0, gap: float = 0
    ) -> None:
        self.recogniser = Recogniser(library, rate)
        self.rate, self.endpoint, self.longest, self.gap = rate, endpoint, longest, gap
        self.words: list[Heard] = []
        self.start = 0.0  # of the running result window
        self.last_end = 0.0  # of the last word
        self._gap_due = False
        self._open = False  # words since the last endpoint

    @property
    def now(self) -> float:
        return self.recogniser.seconds

    def feed(self, pcm: bytes) -> Iterator[Event]:
        size = int(SLICE_S * self.rate) * 2
        for i in range(0, len(pcm), size):
            yield from self._hear(self.recogniser.feed(pcm[i : i + size]))
            yield from self._silence()

    def flush(self) -> Iterator[Event]:
        """Everything still inside as a final."""
        yield from self._hear(self.recogniser.flush())
        if self.words:
            yield self._final(self.now, False)

    def finalize(self) -> Iterator[Event]:
        """Flush of what has been recognised so far; a word in progress stays."""
        if self.words:
            yield self._final(self.now, False)

    def _hear(self, heard: list[Heard]) -> Iterator[Event]:
        for word in heard:
            if self._open and self.endpoint is not None and word.start - self.last_end >= self.endpoint:
                yield self._final(min(word.start, self.last_end + self.endpoint), True)
            if self._gap_due and word.start - self.last_end >= self.gap:
                self._gap_due = False
                yield Event("gap", self.now, self.last_end)
            if not self.words:
                yield Event("started", self.now, word.start)
            self.words.append(word)
            self.last_end, self._gap_due, self._open = word.end, self.gap > 0, True
            yield Event("interim", self.now, self.start, list(self.words))
            if word.end - self.words[0].start >= self.longest:
                yield self._final(word.end, False)

    def _silence(self) -> Iterator[Event]:
        if self._open and self.endpoint is not None and self.now - self.last_end >= self.endpoint:
            yield self._final(self.now, True)
        elif not self.words and self.now - self.start >= self.longest:
            yield Event("silence", self.now, self.start)
            self.start = self.now
        elif self.words and self.now - self.words[0].start >= 2 * self.longest:
            yield self._final(self.now, False)
        if self._gap_due and self.now - self.last_end >= self.gap:
            self._gap_due = False
            yield Event("gap", self.now, self.last_end)

    def _final(self, end: float, endpoint: bool) -> Event:
        event = Event("final", max(end, self.last_end), self.start, self.words, endpoint)
        self.words, self.start, self._open = [], event.now, self._open and not endpoint
        return event


class Speakers:
    """Numbers speakers by first appearance, per connection or file."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def number(self, label: str | None) -> int | None:
        """0, 1, 2 ... or None when the truth knows no speaker."""
        return None if label is None else self._seen.setdefault(label, len(self._seen))


def bare(word: str) -> str:
    """The word as vendors give it without formatting: lower case, no punctuation around it."""
    return word.lower().strip(".,!?;:\"'()…") or word.lower()
