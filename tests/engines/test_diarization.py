from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.diarization import Labelled, conversation, score
from memories.pipeline import audio_analysis
from memories.pipeline.audio_analysis import speech
from speakers.diarization import MOST_CLUSTERED, diarize, find_voices, windows_of
from speakers.engines.scale import CAMPPLUS
from tests.support.heard_once import cut_of
from tests.support.sound import write_wav
from transcription.audio.vad import speech_regions


class OneVoice:
    """Embeds nothing: for the rules of time alone."""

    name, version, dimension = "campplus", "test", 2

    def embed_segments(self, pcm, segments):
        return np.tile(np.array([1.0, 0.0], np.float32), (len(segments), 1))


def labelled(turns):
    return [Labelled(t.start, t.end, str(t.speaker)) for t in turns]


@pytest.fixture(scope="module")
def regions(conversation):
    """Where somebody speaks in the whole conversation, detected once."""
    return speech_regions(conversation.pcm)


@pytest.fixture(scope="module")
def campplus_engine(campplus_engine):
    """The engine, which embeds the same cut once: the windows of the conversation are those of its beginning."""
    return Remembering(campplus_engine)


class Remembering:
    """Each segment by its own, which gives what all together give (``test_campplus``)."""

    def __init__(self, engine):
        self.name, self.version, self.dimension = engine.name, engine.version, engine.dimension
        self._engine, self._known = engine, {}

    def embed_segments(self, pcm, segments):
        keys = [cut_of(pcm, *segment).tobytes() for segment in segments]
        new = {key: segment for key, segment in zip(keys, segments, strict=True) if key not in self._known}
        if new:
            self._known |= zip(new, self._engine.embed_segments(pcm, list(new.values())), strict=True)
        return np.stack([self._known[key] for key in keys])


def test_the_bundled_conversation_has_three_speakers_and_a_low_error_rate(conversation, regions, campplus_engine):
    turns = diarize(conversation.pcm, regions, campplus_engine)
    reference = [Labelled(t["start"], t["end"], t["speaker"]) for t in conversation.turns]
    result = score(reference, labelled(turns), len(conversation.pcm) / 16_000)
    assert {t.speaker for t in turns} == {0, 1, 2}
    assert result.rate < 0.05
    assert turns[0].speaker == 0  # numbered in the order of speaking
    assert not any(t.overlap for t in turns)


@pytest.mark.parametrize("seed", [pytest.param(0, marks=pytest.mark.long), 2])
def test_a_change_that_nobody_hears_leaves_the_speakers_alone(conversation, campplus_engine, tmp_path, seed):
    """The regions that the pipeline hands on: joined over short pauses, they made one speaker of two with seed 2."""
    chance = np.random.default_rng(seed)
    pcm = conversation.pcm * (1 + chance.uniform(-0.03, 0.03)) + chance.integers(-1, 2, len(conversation.pcm))
    path = write_wav(tmp_path / "talk.wav", np.clip(np.rint(pcm), -32768, 32767).astype(np.int16).tobytes())
    regions = [(start, end) for start, end in speech(str(path))["regions"]]
    turns = diarize(pcm.astype(np.int16), regions, campplus_engine)
    reference = [Labelled(t["start"], t["end"], t["speaker"]) for t in conversation.turns]
    assert score(reference, labelled(turns), len(pcm) / 16_000).rate < 0.05


def test_speech_that_goes_on_over_the_end_of_a_block_is_one_region(conversation, tmp_path, monkeypatch):
    path = str(write_wav(tmp_path / "talk.wav", conversation.cut(0, 30.0).tobytes()))
    whole = speech(path)["regions"]
    middle = (whole[2][0] + whole[2][1]) / 2
    monkeypatch.setattr(audio_analysis, "BLOCK", round(middle, 2))
    (found,) = [region for region in speech(path)["regions"] if region[0] < middle < region[1]]
    assert found == pytest.approx(whole[2], abs=0.05)


def test_a_monologue_is_one_speaker(user_enrolment, campplus_engine):
    turns = diarize(user_enrolment, speech_regions(user_enrolment), campplus_engine)
    assert {t.speaker for t in turns} == {0}


def test_one_short_word_is_one_turn_of_little_confidence(conversation, campplus_engine):
    start = conversation.turns[0]["start"]
    (turn,) = diarize(conversation.pcm, [(start, start + 0.4)], campplus_engine)
    assert (turn.start, turn.end, turn.speaker) == (pytest.approx(start), pytest.approx(start + 0.4), 0)
    assert turn.confidence < 0.3


class BetweenTwo:
    """Two clear voices, then 4 s of embeddings that lie half-way between them."""

    name, version, dimension = "campplus", "test", 2

    def embed_segments(self, pcm, segments):
        angles = [0.0 if end <= 8 else np.pi / 2 if end <= 16 else np.pi / 4 for _, end in segments]
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_speech_as_near_to_one_voice_as_to_another_is_marked():
    turns = diarize(np.zeros(20 * 16_000, np.int16), [(0, 8), (8, 16), (16, 18)], BetweenTwo(), max_speakers=2)
    clear, competing = [t for t in turns if not t.overlap], [t for t in turns if t.overlap]
    assert {t.speaker for t in clear} == {0, 1}
    assert sum(t.end - t.start for t in competing) == pytest.approx(2.0, abs=0.3)
    assert all(t.confidence < 0.3 for t in competing)


def test_max_speakers_is_kept(conversation, regions, campplus_engine):
    turns = diarize(conversation.pcm, regions[:6], campplus_engine, max_speakers=2)
    assert {t.speaker for t in turns} == {0, 1}
    with pytest.raises(ValueError, match="max_speakers"):
        diarize(conversation.pcm, [], campplus_engine, max_speakers=0)


@pytest.mark.parametrize("samples", [0, 1, 800])
def test_hardly_any_audio_is_no_error(samples, campplus_engine):
    pcm = np.zeros(samples, np.int16)
    assert diarize(pcm, [], campplus_engine) == []
    assert {t.speaker for t in diarize(pcm, [(0.0, 1.0)], campplus_engine)} <= {0}


def test_a_long_recording_is_clustered_from_a_sample_of_its_windows():
    rng = np.random.default_rng(3)
    voices = np.eye(16, dtype=np.float32)[[0, 5]]
    rows = voices[rng.integers(0, 2, MOST_CLUSTERED * 4)] + rng.normal(0, 0.05, (MOST_CLUSTERED * 4, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    found = find_voices(rows, 8, CAMPPLUS)
    assert found.shape == (2, 16)
    assert (found @ voices.T).max(axis=0).min() > 0.99


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.05, 6.0), st.floats(0.0, 2.0)), max_size=8))
def test_turns_cover_the_regions_exactly(lengths):
    regions, position = [], 0.0
    for length, pause in lengths:
        regions.append((position, position + length))
        position += length + pause + 0.01
    pcm = np.zeros(int(position * 16_000) + 16_000, np.int16)
    turns = diarize(pcm, regions, OneVoice())
    assert sum(t.end - t.start for t in turns) == pytest.approx(sum(b - a for a, b in regions), abs=0.02)
    assert all(a.end <= b.start + 1e-9 for a, b in pairwise(turns))


@given(st.floats(0, 100), st.floats(0.01, 20))
def test_windows_lie_in_their_region_and_cover_it(start, length):
    windows = windows_of(start, start + length)
    assert windows[0][0] == pytest.approx(start)
    assert windows[-1][1] == pytest.approx(start + length)
    assert all(b[0] <= a[1] for a, b in pairwise(windows))


def test_the_scorer_knows_a_perfect_a_swapped_and_an_empty_answer():
    reference = [Labelled(0.0, 4.0, "a"), Labelled(4.0, 8.0, "b"), Labelled(7.0, 8.0, "a")]
    assert score(reference, [Labelled(s, e, n.upper()) for s, e, n in reference], 8.0).rate == 0
    assert score(reference, [], 8.0).rate == 1
    one = score(reference, [Labelled(0.0, 8.0, "x")], 8.0, collar=0.0)
    assert (one.missed, one.confusion) == (pytest.approx(1.0), pytest.approx(3.0))
    alone = score(reference, [Labelled(0.0, 8.0, "x")], 8.0, collar=0.0, overlap=False)
    assert (alone.missed, alone.speech) == (0.0, pytest.approx(7.0))
    assert conversation()[0].speaker == "David"
