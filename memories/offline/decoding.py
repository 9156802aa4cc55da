"""A file of a batch as audio: how long it is, and the frames of any stretch of it, in the codec that it came in.

What a device wrote itself (raw PCM, Opus packets) is taken over as it is. Any other recording is decoded in a child
process, as every upload.
"""

from __future__ import annotations

import wave
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from django.conf import settings

from memories.offline.packets import LOST, PacketFile
from transcription.audio.codecs import BYTES_PER_SECOND, RATE, Codec, codec, open_decoder
from transcription.audio.convert import AudioError, AudioLimits, decode_to_wav
from transcription.audio.opus_toc import samples
from transcription.audio.wav import writing_wav

CONTAINER: Final = "file"
"""The codec of a recording that says itself how it is coded: WAV, FLAC, MP3, M4A, Ogg, WebM."""
PIECE: Final = 256 * 1024
TOGETHER: Final = 200
"""Frames that are decoded at a time."""
MARK: Final = 2000
"""Packets from one known place in a file to the next: a stretch is found without reading what lies before it."""
MOSTLY: Final = 0.5
"""Share of the packets that must be Opus: else the file is something else."""


class Source(ABC):
    """A file that was looked at. ``codec`` is that of its frames, ``seconds`` how long they are."""

    codec: Codec
    seconds: float

    @abstractmethod
    def frames(self, start: float, end: float) -> Iterator[bytes]:
        """The audio between two seconds: packets, or pieces of PCM."""

    def wav(self, dest: Path) -> Path:
        """The whole of it as a 16 kHz mono WAV, to be listened to."""
        decoder = open_decoder(self.codec)
        with writing_wav(dest) as out:
            frames = self.frames(0.0, self.seconds)
            while some := list(islice(frames, TOGETHER)):
                out.writeframesraw(decoder.decode(some))
        return dest


class Pcm(Source):
    """Samples of 16 bits in a file, from ``at`` on."""

    def __init__(self, path: Path, chosen: Codec, at: int = 0) -> None:
        self._path, self._at = path, at
        self.codec = chosen
        self._bytes = (path.stat().st_size - at) & ~1
        self.seconds = self._bytes / chosen.ticks_per_second

    def frames(self, start: float, end: float) -> Iterator[bytes]:
        first, last = (round(second * self.codec.sample_rate) * 2 for second in (start, end))
        left = min(last, self._bytes) - first
        with self._path.open("rb") as file:
            file.seek(self._at + first)
            while left > 0 and (piece := file.read(min(left, PIECE))):
                yield piece
                left -= len(piece)


class Packets(Source):
    """Opus packets behind their lengths. A torn last packet is left out, and what is damaged is silent."""

    def __init__(self, path: Path, chosen: Codec) -> None:
        self._file = PacketFile(path, chosen.max_frame)
        self.codec = chosen
        ticks = good = bad = 0
        self._marks = [(0, 0)]  # tick, byte
        for number, (at, packet) in enumerate(self._file.walk()):
            if number % MARK == 0 and packet is not LOST:
                self._marks.append((ticks, at))
            ticks += chosen.ticks(packet)
            if packet is not LOST:
                good, bad = (good + 1, bad) if samples(packet) else (good, bad + 1)
            if ticks > settings.OMI_MAX_RECORDING_SECONDS * chosen.ticks_per_second:
                break
        if not good or bad > MOSTLY * (good + bad):
            code = "broken" if self._file.damaged else "not_audio"
            raise AudioError(code, "The file holds no Opus packets behind their lengths.")
        self.seconds = ticks / chosen.ticks_per_second

    def frames(self, start: float, end: float) -> Iterator[bytes]:
        first, last = (round(second * self.codec.ticks_per_second) for second in (start, end))
        tick, place = self._marks[bisect_right(self._marks, (first, 1 << 62)) - 1]
        for _, packet in self._file.walk(place):
            if tick >= last:
                return
            if tick >= first:
                yield packet
            tick += self.codec.ticks(packet)


def opened(path: Path, name: str, sample_rate: int | None, folder: Path) -> Source:
    """The file at ``path``, whose codec is ``name``. ``folder``: where a decoded copy may lie.

    Raises AudioError (the file is at fault) and OwnFault.
    """
    if not path.stat().st_size:
        raise AudioError("empty", "The recording holds no audio.")
    if name == CONTAINER:
        target = folder / f"{path.name}.wav"
        decode_to_wav(path, target, limits=AudioLimits(max_seconds=settings.OMI_MAX_RECORDING_SECONDS))
        return Pcm(target, codec_of(name, None), _head(target))
    chosen = codec_of(name, sample_rate)
    source = Packets(path, chosen) if chosen.packets else Pcm(path, chosen)
    if source.seconds > settings.OMI_MAX_RECORDING_SECONDS:
        minutes = settings.OMI_MAX_RECORDING_SECONDS / 60
        raise AudioError("too_long", f"The recording is longer than {minutes:g} minutes.")
    return source


def codec_of(name: str, sample_rate: int | None) -> Codec:
    """The codec of a file's frames: those of a container are decoded. Raises UnknownCodec."""
    return codec("pcm16") if name == CONTAINER else codec(name, sample_rate)


def _head(path: Path) -> int:
    """Bytes before the first sample of a WAV that we wrote ourselves."""
    with wave.open(str(path), "rb") as file:
        samples_there = file.getnframes() * BYTES_PER_SECOND // RATE
    return path.stat().st_size - samples_there
