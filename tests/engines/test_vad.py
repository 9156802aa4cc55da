from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transcription.audio.vad import FRAME_SECONDS, Region, SpeechGate, regions_from, speech_regions

NOISE = np.random.default_rng(1).normal(0, 20, 16_000).astype(np.int16)


def test_every_word_of_the_conversation_lies_in_a_region(conversation):
    regions = speech_regions(conversation.pcm)
    outside = [
        w
        for w in conversation.words
        if not any(r.start <= w["start"] + 0.02 and w["end"] <= r.end + 0.02 for r in regions)
    ]
    assert outside == []
    assert len(regions) == len(conversation.turns)


@pytest.mark.parametrize("pcm", [np.zeros(0, np.int16), np.zeros(1, np.int16), np.zeros(16_000, np.int16), NOISE])
def test_no_speech_gives_no_region(pcm):
    assert speech_regions(pcm) == []


@pytest.mark.parametrize("pcm", [np.zeros(800, np.float32), np.zeros((2, 800), np.int16), b"\0\0"])
def test_what_is_not_16_bit_mono_is_refused_not_misread(pcm):
    with pytest.raises(TypeError, match="int16"):
        speech_regions(pcm)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), max_size=300), st.sampled_from([1.0, 2.5, float("inf")]))
def test_regions_are_sorted_inside_the_recording_and_no_longer_than_asked(probabilities, longest):
    duration = len(probabilities) * FRAME_SECONDS
    regions = regions_from(np.array(probabilities, np.float32), duration, max_speech=longest)
    edges = [edge for region in regions for edge in region]
    assert edges == sorted(edges)
    assert all(0 <= r.start < r.end <= duration + 1e-9 for r in regions)
    assert all(r.end - r.start <= longest + 0.4 + FRAME_SECONDS for r in regions)


def test_a_long_region_is_divided_at_its_weakest_moment():
    probabilities = np.full(100, 0.9, np.float32)
    probabilities[40] = 0.4
    first, second = regions_from(probabilities, 3.2, max_speech=2.0)
    assert first == Region(0.0, pytest.approx(40 * FRAME_SECONDS))
    assert second.start == first.end


def test_the_gate_drops_a_long_silence_and_keeps_the_session_time_of_what_it_sends(conversation):
    speech = conversation.cut(0, 4.6)
    stream = np.concatenate([speech, np.zeros(10 * 16_000, np.int16), speech])
    gate = SpeechGate(session_start=100.0)
    raw = stream.tobytes()
    sent = b"".join(gate.feed(raw[at : at + 1111]) for at in range(0, len(raw), 1111))
    heard = np.frombuffer(sent, np.int16)
    assert 7 < len(heard) / 16_000 < 12
    assert len(gate.cuts) >= 2
    for cut in gate.cuts:  # every sample sent stands in the stream where the cut says it does
        start = round((cut.session - 100.0) * 16_000)
        piece = heard[round(cut.gate * 16_000) : round((cut.gate + cut.seconds) * 16_000)]
        np.testing.assert_array_equal(piece[: len(stream) - start], stream[start : start + len(piece)])


def test_the_gate_sends_nothing_of_silence():
    gate = SpeechGate()
    assert gate.feed(bytes(320_000)) == b""
    assert gate.cuts == []
