"""Uploads: what is audio is decoded, what is not is refused with a reason, nothing else is ever opened."""

from __future__ import annotations

import resource
import signal
import struct
import subprocess
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from omi.core.errors import OwnFault
from tests.support import sound
from tests.transcription.test_codecs import tone
from transcription.audio.convert import AudioError, AudioLimits, decode_to_wav

DEMO = Path(__file__).resolve().parents[2] / "demo" / "recordings" / "enrol_user.flac"


def wav_bytes(rate: int = 16000, seconds: float = 2.0, channels: int = 1) -> bytes:
    return sound.wav(np.repeat(tone(rate, seconds), channels).tobytes(), rate, channels)


def decode(tmp_path: Path, data: bytes, **limits: Any) -> Any:
    source = tmp_path / "upload.wav"
    source.write_bytes(data)
    return decode_to_wav(source, tmp_path / "out.wav", limits=AudioLimits(**limits))


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (44100, 2), (48000, 1)])
def test_wav_of_any_rate_becomes_16_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    info = decode(tmp_path, wav_bytes(rate, 2.0, channels))
    assert info.seconds == pytest.approx(2.0, abs=0.01)
    assert (info.sample_rate, info.channels) == (rate, channels)
    with wave.open(str(tmp_path / "out.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)


def test_flac_is_read_whatever_its_name(tmp_path: Path) -> None:
    assert decode(tmp_path, DEMO.read_bytes()).codec == "flac"


HEADER_ONLY = wav_bytes(seconds=0.0)
PLAYLIST = b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"
CONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (HEADER_ONLY, "empty"),
        (b"this is a letter, not a recording" * 10, "not_audio"),
        (PLAYLIST, "not_audio"),
        (CONCAT, "not_audio"),
        (b"<html><script>alert(1)</script></html>", "not_audio"),
        (b"PK\x03\x04" + b"\0" * 100, "not_audio"),
        (b"RIFF\xff\xff\xff\xffWAVEjunk", "not_audio"),
        (b"OggS" + b"\x13" * 500, "not_audio"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_reason(tmp_path: Path, data: bytes, code: str) -> None:
    with pytest.raises(AudioError) as caught:
        decode(tmp_path, data)
    assert caught.value.code in (code, "broken" if code == "not_audio" else code)
    assert caught.value.sentence.endswith(".")
    assert not (tmp_path / "out.wav").exists()


def test_too_short_and_too_long_say_the_limit(tmp_path: Path) -> None:
    """Bad input is told as such."""
    with pytest.raises(AudioError, match="shorter than 10 seconds") as short:
        decode(tmp_path, wav_bytes(seconds=9.9), min_seconds=10.0)
    assert short.value.code == "too_short"
    assert decode(tmp_path, wav_bytes(seconds=10.0), min_seconds=10.0).seconds == pytest.approx(10.0)
    with pytest.raises(AudioError) as long:
        decode(tmp_path, wav_bytes(seconds=5.0), max_seconds=4.0)
    assert long.value.code == "too_long"


def test_a_header_that_lies_about_its_length_gives_what_is_there(tmp_path: Path) -> None:
    data = bytearray(wav_bytes(seconds=2.0))
    data[40:44] = struct.pack("<I", 2**31)
    assert decode(tmp_path, bytes(data)).seconds == pytest.approx(2.0, abs=0.1)


def test_a_recording_cut_off_in_the_middle_gives_what_is_there(tmp_path: Path) -> None:
    data = DEMO.read_bytes()
    whole = decode(tmp_path, data).seconds
    assert 0 < decode(tmp_path, data[: len(data) // 2]).seconds < whole


def test_a_file_that_ends_before_it_says_is_noticed(tmp_path: Path) -> None:
    data = wav_bytes(seconds=20.0)
    whole, half = decode(tmp_path, data), decode(tmp_path, data[: len(data) // 2])
    assert (whole.declared, whole.ended_early) == (pytest.approx(20.0), False)
    assert (half.declared, half.ended_early) == (pytest.approx(20.0), True)
    assert half.seconds == pytest.approx(10.0, abs=0.1)
    flac = DEMO.read_bytes()
    assert not decode(tmp_path, flac).ended_early
    assert decode(tmp_path, flac[: len(flac) // 2]).ended_early


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFF - 36])
def test_a_length_that_a_writer_did_not_know_promises_nothing(tmp_path: Path, size: int) -> None:
    data = bytearray(wav_bytes(seconds=5.0))
    data[40:44] = struct.pack("<I", size)
    info = decode(tmp_path, bytes(data))
    assert (info.declared, info.ended_early) == (None, False)


def two_channels(left: Any, right: Any) -> bytes:
    return sound.wav(np.stack([left, right], axis=1).astype("<i2").tobytes(), channels=2)


def decoded(tmp_path: Path, data: bytes) -> Any:
    decode(tmp_path, data)
    with wave.open(str(tmp_path / "out.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int32)


@pytest.mark.parametrize("weaker", [1.0, 0.7])
def test_two_channels_in_opposite_phase_are_not_mixed_into_silence(tmp_path: Path, weaker: float) -> None:
    """Their mean is silence: the recording counted as one in which nobody speaks."""
    left = tone(16000, 3.0).astype(np.int32)
    out = decoded(tmp_path, two_channels(left, -weaker * left))
    assert np.abs(out - left).max() <= 2


def test_channels_that_do_not_cancel_are_mixed(tmp_path: Path) -> None:
    left = tone(16000, 2.0).astype(np.int32)
    other = np.random.default_rng(3).integers(-8000, 8000, len(left))
    for right in (left, other, 0 * left):
        out = decoded(tmp_path, two_channels(left, right))
        assert np.abs(out - (left + right) // 2).max() <= 2


def test_what_fails_on_this_machine_is_not_told_as_a_bad_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, no memory, a package that does not load, a killed child: ours, transient, and tried again."""
    source = tmp_path / "upload.wav"
    source.write_bytes(wav_bytes())

    def code(dest: Path = tmp_path / "out.wav", **limits: Any) -> str:
        with pytest.raises(OwnFault) as caught:
            decode_to_wav(source, dest, limits=AudioLimits(**limits))
        assert (caught.value.kind, dest.exists()) == ("transient", False)
        return caught.value.code

    assert code(tmp_path / "nowhere" / "out.wav") == "decode_ENOENT"
    assert code(memory_mb=60).startswith("decode_")
    with other_av(tmp_path, monkeypatch, "raise ImportError('no such library')"):
        assert code() == "decode_ImportError"


@contextmanager
def other_av(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Iterator[None]:
    """The decoding child imports ``body`` as PyAV."""
    package = tmp_path / "packages" / "av"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(body)
    real = subprocess.run

    def run(command: list[str], **more: Any) -> Any:
        more["env"] = {**more["env"], "PYTHONPATH": f"{package.parent}:{more['env']['PYTHONPATH']}"}
        return real(command, **{**more, "timeout": 60})

    with monkeypatch.context() as patched:
        patched.setattr("transcription.audio.convert.subprocess.run", run)
        yield


def test_a_full_disk_is_ours(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this machine")
    source, dest = tmp_path / "upload.wav", tmp_path / "out.wav"
    source.write_bytes(wav_bytes())
    dest.symlink_to("/dev/full")
    with pytest.raises(OwnFault) as caught:
        decode_to_wav(source, dest)
    assert caught.value.code == "decode_ENOSPC"


@pytest.mark.parametrize(
    ("ended", "fault"),
    [("SIGKILL", OwnFault), ("SIGTERM", OwnFault), ("SIGSEGV", AudioError), ("SIGXCPU", AudioError)],
)
def test_a_crash_is_the_files_and_a_kill_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: str, fault: type[Exception]
) -> None:
    done = subprocess.CompletedProcess([], -getattr(signal, ended), "", "")
    monkeypatch.setattr("transcription.audio.convert.subprocess.run", lambda *_, **__: done)
    with pytest.raises(fault):
        decode(tmp_path, wav_bytes())


def test_a_decoder_that_gets_no_processor_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("decode", 1800)

    monkeypatch.setattr("transcription.audio.convert.subprocess.run", late)
    with pytest.raises(OwnFault) as caught:
        decode(tmp_path, wav_bytes())
    assert caught.value.outcome == "timeout"


def test_a_file_that_uses_up_its_processor_time_is_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the hard limit the kernel kills, which would look like a lack of memory."""
    with other_av(tmp_path, monkeypatch, "while True: pass"), pytest.raises(AudioError) as caught:
        decode(tmp_path, wav_bytes(), cpu_seconds=1)
    assert caught.value.code == "broken"


@pytest.mark.parametrize("rate", [1, 100, 3_999, 384_001, 3_000_000])
def test_a_rate_at_which_nobody_records_is_no_recording(tmp_path: Path, rate: int) -> None:
    """42 kB that claim one sample a second were 21,000 s: 672 MB on disk and up to 18 s of processor time."""
    data = bytearray(wav_bytes(16_000, 1.3))
    data[24:32] = struct.pack("<II", rate, rate * 2)
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(AudioError) as error:
        decode(tmp_path, bytes(data))
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert error.value.code == "not_audio"
    assert ended.ru_utime - began.ru_utime < 2.0
    assert not (tmp_path / "out.wav").exists()


def test_a_flac_of_silence_is_stopped_by_what_it_decodes_to(tmp_path: Path) -> None:
    """Eight channels of 192 kHz: 60 kB for minutes, and each second of it is 1.5 million samples."""
    source = tmp_path / "bomb.flac"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("flac", rate=192_000, layout="7.1")
        silence = np.zeros((1, 8 * 19_200), dtype=np.int16)
        for _ in range(30):
            frame = av.AudioFrame.from_ndarray(silence, format="s16", layout="7.1")
            frame.sample_rate = 192_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert decode(tmp_path, source.read_bytes(), max_seconds=30).seconds == pytest.approx(3.0, abs=0.1)
    with pytest.raises(AudioError) as error:  # 3 s of 8 channels: more samples than 5 s of a studio's stereo
        decode(tmp_path, source.read_bytes(), max_seconds=5)
    assert error.value.code == "too_long"


@pytest.mark.parametrize("rate", [4_000, 6_000, 11_025, 96_000, 192_000, 384_000])
def test_rates_that_people_record_at_are_read(tmp_path: Path, rate: int) -> None:
    assert decode(tmp_path, wav_bytes(rate, 1.0)).seconds == pytest.approx(1.0, abs=0.02)


def in_codec(tag: int) -> bytes:
    """A WAV whose head names this codec."""
    data = bytearray(wav_bytes())
    data[20:22] = struct.pack("<H", tag)
    return bytes(data)


@pytest.mark.parametrize("tag", [0x7777, 0x2048, 0xFFFE])
def test_a_codec_that_this_machine_does_not_know_is_the_files_fault(tmp_path: Path, tag: int) -> None:
    """There is no decoder to ask for its channels: that was an AttributeError, told as ours and tried again."""
    with pytest.raises(AudioError) as caught:
        decode(tmp_path, in_codec(tag))
    assert (caught.value.code, caught.value.sentence) == ("unknown_codec", "The recording's codec is not known here.")
    assert not (tmp_path / "out.wav").exists()
