"""The recogniser behind the simulated vendors: only audio that arrives is recognised."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from demo.vendors.recognise import Recogniser, recognise
from demo.vendors.synth import speech
from demo.vendors.truth import Library, Recording, Samples, resample

RATE = 16000
TEXT = "one two three | four five six seven | <B> eight nine ten eleven"


@pytest.fixture(scope="module")
def recording() -> Recording:
    return speech(TEXT)


@pytest.fixture(scope="module")
def library(recording: Recording) -> Library:
    return Library([speech("other words entirely here now", seed=9), recording])


def stream(library: Library, pcm: Samples, rate: int = RATE, step: int = 1600) -> list[tuple[str, float]]:
    recogniser = Recogniser(library, rate)
    out = []
    data = pcm.tobytes()
    for i in range(0, len(data), step * 2):
        out += recogniser.feed(data[i : i + step * 2])
    return [(w.word, w.start) for w in out + recogniser.flush()]


def opus(pcm: Samples, bitrate: int = 24000) -> Samples:
    """Through an Opus encoder and back."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as container:
        out = container.add_stream("libopus", rate=RATE, layout="mono", bit_rate=bitrate)
        for i in range(0, len(pcm), 320):
            frame = av.AudioFrame.from_ndarray(pcm[None, i : i + 320].copy(), format="s16", layout="mono")
            frame.sample_rate = RATE
            container.mux(out.encode(frame))
        container.mux(out.encode(None))
    buffer.seek(0)
    from demo.vendors.truth import decode

    return decode(buffer, RATE)[0]


@pytest.mark.parametrize("step", [160, 1600, 1601, 100_000_000])
def test_every_word_once_at_its_time_for_any_chunk_size(library: Library, recording: Recording, step: int) -> None:
    got = stream(library, recording.pcm, step=step)
    assert [w for w, _ in got] == [w.word for w in recording.words]
    assert max(abs(t - w.start) for (_, t), w in zip(got, recording.words, strict=True)) < 0.001


@pytest.mark.parametrize("form", ["opus", "8k", "48k", "mulaw-ish", "quiet"])
def test_lossy_audio_is_recognised_at_its_time(library: Library, recording: Recording, form: str) -> None:
    rate, pcm = RATE, recording.pcm
    if form == "opus":
        pcm = opus(pcm)
    elif form == "quiet":
        pcm = (pcm // 3).astype(np.int16)
    elif form == "mulaw-ish":
        pcm = ((pcm // 256) * 256).astype(np.int16)
    else:
        rate = {"8k": 8000, "48k": 48000}[form]
        pcm = resample(pcm, RATE, rate) + 1
    got = stream(library, pcm, rate, rate // 50)
    assert [w for w, _ in got] == [w.word for w in recording.words]
    assert max(abs(t - w.start) for (_, t), w in zip(got, recording.words, strict=True)) < 0.03
    assert [w.word for w in recognise(library, pcm, rate)] == [w for w, _ in got]


@pytest.mark.parametrize("lossy", [False, True])
def test_a_hole_is_not_recognised_and_later_times_move_forward(
    library: Library, recording: Recording, lossy: bool
) -> None:
    cut = (recording.words[2].end + 0.1, recording.words[7].start - 0.2)
    pcm = np.concatenate([recording.pcm[: int(cut[0] * RATE)], recording.pcm[int(cut[1] * RATE) :]])
    got = stream(library, opus(pcm) if lossy else pcm)
    assert [w for w, _ in got] == "one two three eight nine ten eleven".split()
    assert got[3][1] == pytest.approx(recording.words[7].start - (cut[1] - cut[0]), abs=0.03)


@pytest.mark.parametrize("lossy", [False, True])
def test_audio_sent_twice_is_recognised_twice(library: Library, recording: Recording, lossy: bool) -> None:
    pcm = np.concatenate([recording.pcm, recording.pcm[7:]])
    got = [w for w, _ in stream(library, opus(pcm) if lossy else pcm)]
    assert got == [w.word for w in recording.words] * 2


def test_order_of_arrival_is_kept(library: Library, recording: Recording) -> None:
    half = int((recording.words[2].end + 0.3) * RATE)
    got = stream(library, np.concatenate([recording.pcm[half:], recording.pcm[:half]]))
    assert [w for w, _ in got] == "four five six seven eight nine ten eleven one two three".split()


def test_a_stream_that_begins_in_a_word_does_not_hear_that_word(library: Library, recording: Recording) -> None:
    start = int((recording.words[0].start + 0.15) * RATE)
    assert stream(library, recording.pcm[start:])[0][0] == "two"


def test_silence_noise_and_unknown_speech_give_nothing(library: Library) -> None:
    rng = np.random.default_rng(5)
    assert stream(library, np.zeros(5 * RATE, np.int16)) == []
    assert stream(library, (rng.standard_normal(5 * RATE) * 2000).astype(np.int16)) == []
    assert stream(library, speech("never registered words at all", seed=77).pcm) == []


def test_a_lost_packet_costs_no_word_around_it(library: Library, recording: Recording) -> None:
    pcm = recording.pcm.copy()
    at = int((recording.words[4].start + 0.1) * RATE)
    pcm[at : at + 320] = 0
    assert [w for w, _ in stream(library, pcm)] == [w.word for w in recording.words]
