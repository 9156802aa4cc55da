"""The child of ``transcription.audio.convert``.

Run as ``python -m transcription.audio.decode SRC DEST MAX_SECONDS MEMORY_MB CPU_SECONDS``.

Prints one JSON object. It knows no Django and no settings, and it is expected to be killed by what it reads.
"""

from __future__ import annotations

import errno
import json
import resource
import sys
import wave
from typing import Any, BinaryIO

from transcription.audio.wav import writing_wav

RATE = 16_000
LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
"""Samples a second. Speech is stored at 8,000 and more, studios stop at 384,000. A file that claims one sample a second
is days of silence in a few kilobytes."""
MOST_CHANNELS = 32
DECODED_RATE = 2 * 192_000
"""Samples of all channels that a second of the allowed length may have on average before they are resampled."""
# Bytes at the start of the file -> FFmpeg's demuxer. Playlists (hls, concat, dash) and devices are not among them.
_BY_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"RIFF", "wav"),
    (0, b"RF64", "wav"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (4, b"ftyp", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"FORM", "aiff"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"#!AMR", "amr"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)


def demuxer(head: bytes) -> str | None:
    """The demuxer for a file that begins like this; None where it is none that we read."""
    for offset, magic, name in _BY_MAGIC:
        if head[offset : offset + len(magic)] == magic:
            return name
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"
    return None


def decode(source: BinaryIO, dest: str, max_seconds: float) -> dict[str, Any]:
    """Decode the first audio stream to a 16 kHz mono WAV at ``dest``; returns what was made, or ``error`` with one of
    the codes of ``convert``."""
    import av

    head = source.read(64)
    source.seek(0)
    name = demuxer(head)
    if name is None:
        return {"error": "not_audio"}
    try:
        # A file object: FFmpeg has no name and no protocol to open anything else with.
        container = av.open(source, mode="r", format=name, metadata_errors="replace")
    except MemoryError:  # FFmpeg's own is one of its errors, too
        raise
    except (av.error.FFmpegError, ValueError):
        return {"error": "not_audio"}
    with container:
        if not container.streams.audio:
            return {"error": "not_audio"}
        # Of a codec that this FFmpeg does not know there is no context: a film may hold another stream that it does.
        stream = next((item for item in container.streams.audio if item.codec_context is not None), None)
        if stream is None:
            return {"error": "unknown_codec"}
        # Mono at 16 kHz whatever comes in; the resampler also takes a change of format in mid-file. Two channels are
        # mixed here: the resampler's sum of two that are in opposite phase is silence.
        told = stream.codec_context
        if told.sample_rate and not _sane(told.sample_rate, told.channels):
            return {"error": "not_audio"}
        stereo = stream.codec_context.channels == 2
        resampler = av.AudioResampler(format="s16", layout="stereo" if stereo else "mono", rate=RATE)
        mix = Mix() if stereo else None
        written, decoded, faults = 0, 0, 0
        with writing_wav(dest) as out:
            try:
                for packet in container.demux(stream):
                    try:
                        frames = packet.decode()
                    except av.error.DecoderNotFoundError:
                        return {"error": "unknown_codec"}
                    except av.error.InvalidDataError:
                        faults += 1
                        if faults > 100 and written == 0:
                            return {"error": "broken"}
                        continue
                    if not all(_sane(frame.sample_rate, len(frame.layout.channels)) for frame in frames):
                        return {"error": "not_audio"}  # the format may change in mid-file
                    decoded += sum(frame.samples * len(frame.layout.channels) for frame in frames)
                    written += _write(out, resampler, frames, mix)
                    if written > max_seconds * RATE or decoded > max_seconds * DECODED_RATE:
                        return {"error": "too_long"}
            except MemoryError:
                raise
            except av.error.FFmpegError:
                faults += 1  # cut off in the middle: what was read counts
            try:
                written += _write(out, resampler, [None], mix)
            except MemoryError:
                raise
            except (av.error.FFmpegError, ValueError):
                pass  # nothing was ever fed to it
        if not written:
            return {"error": "broken" if faults else "empty"}
        context = stream.codec_context
        return {
            "seconds": written / RATE,
            "sample_rate": context.sample_rate or 0,
            "channels": context.channels or 0,
            "container": name,
            "codec": context.name,
            "declared": declared_seconds(source, name, container, stream),
        }


def _sane(rate: int, channels: int) -> bool:
    return LOWEST_RATE <= rate <= HIGHEST_RATE and channels <= MOST_CHANNELS


def declared_seconds(source: BinaryIO, name: str, container: Any, stream: Any) -> float | None:
    """How long the file's head says that it is; None where it says nothing that can be relied on.

    FFmpeg answers from what is there for WAV, and guesses from the bit rate for bare AAC and for MP3 without an index.
    """
    if name == "wav":
        return _declared_by_wav(source, stream)
    if name == "aac":
        return None
    if name == "mp3":
        source.seek(0)
        if not any(mark in source.read(1 << 16) for mark in (b"Xing", b"Info", b"VBRI")):
            return None
    if name == "caf" and stream.frames and stream.codec_context.sample_rate:
        return float(stream.frames / stream.codec_context.sample_rate)
    if stream.duration:
        return float(stream.duration * stream.time_base)
    # A container's length is that of its longest stream: a film may go on without sound.
    return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


def _declared_by_wav(source: BinaryIO, stream: Any) -> float | None:
    """From the size of the ``data`` chunk. Writers that do not know the end yet leave 0 or a huge number there."""
    source.seek(12)
    for _ in range(64):
        head = source.read(8)
        if len(head) < 8:
            return None
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"data":
            bits = stream.codec_context.bit_rate
            return size * 8 / bits if bits and 0 < size < 0x7FFF0000 else None
        source.seek(size + size % 2, 1)
    return None


CANCELED = 0.1
"""Of the louder channel's energy: less than this is left where two channels cancel each other out. Two that have
nothing to do with each other leave a quarter, and so does one beside a silent one."""


class Mix:
    """Makes one channel of two: their mean, or the louder one where they are in opposite phase (a microphone wired the
    wrong way round, a "karaoke" track). Judged over the last second or so: one frame says too little."""

    def __init__(self) -> None:
        self._energies: Any = 0.0  # of left, right and mean; what lies a second back counts half

    def __call__(self, samples: Any) -> Any:
        """``samples``: interleaved int16; returns int16 of half the length."""
        import numpy as np

        pairs = samples.reshape(-1, 2).astype(np.int32)
        mean = (pairs[:, 0] + pairs[:, 1]) // 2
        three = np.column_stack([pairs, mean]).astype(np.float64)
        self._energies = self._energies * 0.5 ** (len(pairs) / RATE) + (three * three).sum(axis=0)
        left, right, mixed = self._energies
        if mixed < CANCELED * max(left, right):
            mean = pairs[:, 0] if left >= right else pairs[:, 1]
        return mean.astype(np.int16)


def _write(out: wave.Wave_write, resampler: Any, frames: list[Any], mix: Mix | None) -> int:
    count = 0
    for frame in frames:
        for piece in resampler.resample(frame):
            samples = piece.to_ndarray()
            out.writeframesraw((samples if mix is None else mix(samples)).tobytes())
            count += piece.samples
    return count


def main() -> int:
    """Decode the file of the command line within its limits of memory and CPU time, and print the answer as JSON."""
    source, dest, max_seconds, memory_mb, cpu_seconds = sys.argv[1:6]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_mb) << 20, int(memory_mb) << 20))
    # The hard limit lies higher: at that one the kernel kills as it does for lack of memory, and nobody could tell why.
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu_seconds), int(cpu_seconds) + 5))
    limit = int(float(max_seconds) * RATE * 2) + (64 << 20)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        with open(source, "rb") as file:  # noqa: PTH123  no pathlib needed in a child
            answer = decode(file, dest, float(max_seconds))
    except ValueError:  # what FFmpeg's binding says of formats that it cannot make sense of
        answer = {"error": "broken"}
    except Exception as error:
        # No disk, no memory, no package, or a fault in here: nothing of that is told to the user as a bad recording.
        number = getattr(error, "errno", None)
        answer = {"error": "ours", "why": errno.errorcode.get(number or 0) or type(error).__name__}
    print(json.dumps(answer))  # noqa: T201  its answer
    return 0


if __name__ == "__main__":
    sys.exit(main())
