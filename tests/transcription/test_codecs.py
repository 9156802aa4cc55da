"""Bytes of the app's codecs to 16 kHz PCM: splits, rates, faults."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.audio.codecs import FfmpegOpusDecoder, UnknownCodec, codec, open_decoder
from transcription.audio.opus import LibOpusDecoder
from transcription.client import _opus

OPUS = [LibOpusDecoder, FfmpegOpusDecoder]


def tone(rate: int, seconds: float, hertz: float = 440.0) -> np.ndarray:
    return (np.sin(np.arange(round(rate * seconds)) * 2 * np.pi * hertz / rate) * 8000).astype("<i2")


def pitch(pcm: bytes, rate: int = 16000) -> float:
    samples = np.frombuffer(pcm, "<i2")[2000:10000].astype(float)
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * rate / len(samples))


@given(cuts=st.lists(st.integers(0, 3200), max_size=20), name=st.sampled_from(["pcm8", "pcm16"]))
@settings(max_examples=50, deadline=None)
def test_pcm_is_a_byte_stream_wherever_messages_are_split(cuts: list[int], name: str) -> None:
    data = tone(8000, 0.2).tobytes()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    whole = open_decoder(codec(name)).decode([data])
    decoder = open_decoder(codec(name))
    parts = b"".join(decoder.decode([data[a:b]]) for a, b in pairwise(edges))
    assert parts == whole


def test_pcm8_is_16_bit_at_8_khz_and_becomes_16_khz_of_the_same_pitch() -> None:
    """The 8 is kilohertz."""
    pcm = open_decoder(codec("pcm8")).decode([tone(8000, 1.0).tobytes()])
    assert len(pcm) == 32000
    assert pitch(pcm) == pytest.approx(440, abs=5)


def test_pcm_at_48_khz_is_brought_down_without_aliases() -> None:
    pcm = open_decoder(codec("pcm16", 48000)).decode([tone(48000, 1.0, 15000.0).tobytes()])
    assert np.abs(np.frombuffer(pcm, "<i2")[200:]).max() < 80


def test_opus_is_read_by_libopus_without_ffmpeg() -> None:
    """PyAV's wheel brings the library along; importing PyAV itself would cost every web process 19 MB."""
    code = """
import sys
from pathlib import Path
from transcription.audio.codecs import codec, open_decoder
maps = Path("/proc/self/maps").read_text()
print(type(open_decoder(codec("opus"))).__name__, "av" in sys.modules, "libavcodec" in maps)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.split() == ["LibOpusDecoder", "False", "False"]


@pytest.mark.parametrize("decoder", OPUS)
@pytest.mark.parametrize(("name", "size"), [("opus", 160), ("opus_fs320", 320)])
def test_an_opus_packet_is_exactly_its_time(name: str, size: int, decoder: Any) -> None:
    packets = _opus(tone(16000, 1.0), size)
    reader = decoder(codec(name).packet_seconds)
    decoded = [reader.decode([packet]) for packet in packets]
    assert {len(piece) for piece in decoded} == {size * 2}
    assert pitch(b"".join(decoded)) == pytest.approx(440, abs=5)


@pytest.mark.parametrize("decoder", OPUS)
@given(frames=st.lists(st.binary(max_size=200), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_opus_garbage_becomes_silence_or_noise_of_the_right_length_and_never_an_error(
    frames: list[bytes], decoder: Any
) -> None:
    assert len(decoder(0.01).decode(frames)) % 2 == 0


@pytest.mark.parametrize("decoder", OPUS)
def test_a_bad_opus_packet_keeps_time_and_what_follows_is_heard(decoder: Any) -> None:
    packets = _opus(tone(16000, 1.0), 160)
    reader = decoder(0.01)
    pcm = reader.decode([*packets[:10], b"", b"\xff" * 3, *packets[10:]])
    assert len(pcm) == (len(packets) + 2) * 320
    assert reader.bad >= 1
    assert pitch(pcm) == pytest.approx(440, abs=5)


@pytest.mark.parametrize(("name", "rate"), [("aac", None), ("", None), ("pcm16", 44100), ("pcm8", 1)])
def test_what_is_not_read_is_refused_by_name(name: str, rate: int | None) -> None:
    with pytest.raises(UnknownCodec):
        codec(name, rate)
