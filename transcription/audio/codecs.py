"""What arrives on the socket, turned into the one format of this package: 16 kHz mono 16-bit little-endian PCM.

The app's codec names: ``pcm8`` is *16-bit* PCM at 8 kHz, ``pcm16`` is 16-bit PCM at 16 kHz,
``opus`` is one raw Opus packet of 10 ms per message, ``opus_fs320`` one of 20 ms. PCM is a byte stream: a message may
end in the middle of a sample.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from transcription.audio.opus import LibOpusDecoder, library
from transcription.audio.opus_toc import MAX_PACKET, samples

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
BYTES_PER_SECOND = RATE * 2
MAX_PCM = 256 * 1024
"""Bytes of one message of PCM: eight seconds at 16 kHz, a hundred times what the app sends."""


class UnknownCodec(ValueError):
    """The client named a codec, or a sample rate for it, that this server does not read."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How a session's bytes are to be read. ``packet_seconds`` is 0 for a byte stream."""

    name: str
    sample_rate: int
    packet_seconds: float = 0.0

    @property
    def packets(self) -> bool:
        return self.packet_seconds > 0

    @property
    def ticks_per_second(self) -> int:
        """A tick is the unit in which audio is counted as it comes: a byte of PCM, a sample (16 kHz) of packets."""
        return RATE if self.packets else self.sample_rate * 2

    @property
    def max_frame(self) -> int:
        """Return how many bytes one message may hold."""
        return MAX_PACKET if self.packets else MAX_PCM

    def ticks(self, frame: bytes) -> int:
        """Length of one message. A packet counts as what it decodes to; one that is no Opus as the codec's length."""
        if not self.packet_seconds:
            return len(frame)
        return samples(frame) or round(self.packet_seconds * RATE)


_DEFAULT_RATES = {"pcm8": 8000, "pcm16": 16000, "opus": 16000, "opus_fs320": 16000}
_PACKETS = {"opus": 0.010, "opus_fs320": 0.020}
_PCM_RATES = (8000, 16000, 48000)


def codec(name: str, sample_rate: int | None = None) -> Codec:
    """The codec for the query parameters ``codec`` and ``sample_rate``. Raises UnknownCodec."""
    if name not in _DEFAULT_RATES:
        raise UnknownCodec(f"codec must be one of {', '.join(_DEFAULT_RATES)}")
    rate = sample_rate or _DEFAULT_RATES[name]
    if name in _PACKETS:
        return Codec(name, RATE, _PACKETS[name])
    if rate not in _PCM_RATES:
        raise UnknownCodec(f"sample_rate must be one of {', '.join(map(str, _PCM_RATES))} for {name}")
    return Codec(name, rate)


class PcmDecoder:
    """PCM of 8, 16 or 48 kHz to 16 kHz. Keeps the odd byte and the filter's state from one call to the next."""

    def __init__(self, rate: int) -> None:
        self._rest = b""
        self._resample = None if rate == RATE else _resampler(rate)
        self.bad = 0

    def decode(self, frames: Iterable[bytes]) -> bytes:
        data = self._rest + b"".join(frames)
        whole = len(data) & ~1
        self._rest = data[whole:]
        if self._resample is None:
            return data[:whole]
        return self._resample(np.frombuffer(data[:whole], "<i2"))


class FfmpegOpusDecoder:
    """Raw Opus packets to 16 kHz, where libopus cannot be had (``transcription.audio.opus``). A packet that does not
    decode     becomes silence of its length and is counted: time goes on as it did for the speaker."""

    def __init__(self, packet_seconds: float) -> None:
        import av

        self._av: Any = av
        self._context = self._open()
        self._nominal = round(packet_seconds * 48_000)
        self._decimate = Decimator(3)
        self.bad = 0

    def _open(self) -> Any:
        context = self._av.CodecContext.create("opus", "r")
        # OpusHead (RFC 7845 5.1): version 1, mono, no pre-skip, 16 kHz input, gain 0, mapping family 0.
        context.extradata = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 0, RATE, 0, 0)
        context.sample_rate = 48_000
        return context

    def decode(self, frames: Iterable[bytes]) -> bytes:
        pieces = [self._packet(frame) for frame in frames]
        if not pieces:
            return b""
        return self._decimate(np.concatenate(pieces))

    def _packet(self, frame: bytes) -> NDArray[np.float32]:
        length = samples(frame)
        try:
            decoded = self._context.decode(self._av.Packet(frame)) if length else []
        except (self._av.error.FFmpegError, ValueError):
            decoded = []
            self._context = self._open()
        if not decoded:
            self.bad += 1
            return np.zeros(length * 3 or self._nominal, np.float32)
        # FFmpeg's decoder gives one plane of floats; it is read in place (to_ndarray costs as much as decoding).
        pieces = [np.frombuffer(piece.planes[0], np.float32)[: piece.samples] for piece in decoded]
        return (pieces[0] if len(pieces) == 1 else np.concatenate(pieces)) * np.float32(32767.0)


Decoder = PcmDecoder | LibOpusDecoder | FfmpegOpusDecoder


def open_decoder(chosen: Codec) -> Decoder:
    """Return a new decoder of the codec; Opus is decoded by libopus where it is installed, else by FFmpeg."""
    if not chosen.packets:
        return PcmDecoder(chosen.sample_rate)
    return (FfmpegOpusDecoder if library() is None else LibOpusDecoder)(chosen.packet_seconds)


def _low_pass(taps: int, cutoff: float) -> NDArray[np.float32]:
    """Windowed-sinc low-pass, ``cutoff`` as a part of the sampling rate, unit gain."""
    at = np.arange(taps) - (taps - 1) / 2
    kernel = np.sinc(2 * cutoff * at) * np.hamming(taps)
    normal: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    return normal


class Decimator:
    """Every ``factor``-th sample after a low-pass; the output has exactly one sample per ``factor`` of the input.

    Why not a library's resampler: soxr and FFmpeg hold samples back and give them at the end, so a live stream would be
    late by a moving amount; here a moment of the input is the same moment of the output, which every time in a session
    relies on. FFmpeg's also costs 19 MB that a server of live audio does not load.
    """

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self._kernel = _low_pass(16 * factor - 1, 0.46 / factor)
        self._history = np.zeros(len(self._kernel) - 1, np.float32)

    def __call__(self, samples: NDArray[Any]) -> bytes:
        data = np.concatenate([self._history, samples.astype(np.float32, copy=False)])
        keep = len(self._kernel) - 1
        usable = (len(data) - keep) // self._factor * self._factor
        if usable <= 0:
            self._history = data
            return b""
        filtered = np.convolve(data[: usable + keep], self._kernel, "valid")[:: self._factor]
        self._history = data[usable:]
        return _to_bytes(filtered)


class _Doubler:
    """8 to 16 kHz: zeros between the samples, then a low-pass. Exactly two samples out for one in."""

    def __init__(self) -> None:
        self._kernel = _low_pass(63, 0.23) * np.float32(2.0)
        self._history = np.zeros(len(self._kernel) - 1, np.float32)

    def __call__(self, samples: NDArray[Any]) -> bytes:
        if not len(samples):
            return b""
        stuffed = np.zeros(len(samples) * 2, np.float32)
        stuffed[::2] = samples
        data = np.concatenate([self._history, stuffed])
        self._history = data[-(len(self._kernel) - 1) :]
        return _to_bytes(np.convolve(data, self._kernel, "valid"))


def _resampler(rate: int) -> Decimator | _Doubler:
    return _Doubler() if rate == 8000 else Decimator(rate // RATE)


def _to_bytes(samples: NDArray[Any]) -> bytes:
    data: bytes = np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
    return data
