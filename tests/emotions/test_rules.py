"""Whose emotion it is, what a talk amounts to, and when a person is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from emotions.feedback import feedback
from emotions.prosody import measure
from emotions.timeline import attribute, means, of_user
from transcription.segments import Segment


def span(start: float, end: float, is_user: bool = True, **scores: float) -> EmotionSpan:
    emotions = [EmotionScore(name=name, score=score) for name, score in scores.items()]
    return EmotionSpan(start=start, end=end, emotions=emotions, is_user=is_user)


def timeline(*spans: EmotionSpan, estimate: bool = False) -> EmotionTimeline:
    return EmotionTimeline(vendor="v", model="m", kind="estimate" if estimate else "expression", spans=list(spans))


def turn(start: float, end: float, speaker: int, is_user: bool = False) -> Segment:
    return Segment(text="x", start=start, end=end, speaker=f"SPEAKER_0{speaker}", is_user=is_user)


def test_a_window_over_two_voices_is_nobodys() -> None:
    """Hume's windows reach 10 s back: another person's anger must not become the user's."""
    turns = [turn(0, 5, 0, is_user=True), turn(5, 10, 1)]
    found = attribute([span(4, 9, joy=0.9), span(0, 5, joy=0.9), span(0, 6, joy=0.9), span(20, 21, joy=0.9)], turns)
    assert [(item.start, item.end, item.speaker, item.is_user) for item in found] == [
        (0, 5, "SPEAKER_00", True),
        (0, 6, "SPEAKER_00", True),  # 5 of 6 s of speech: at least four fifths
        (4, 9, "SPEAKER_01", False),
        (20, 21, None, False),
    ]


def test_a_long_talk_is_not_a_stronger_feeling() -> None:
    """A fault of the original: scores were summed, so that every long talk passed the threshold."""
    short = means([span(0, 3, joy=0.2)])
    long = means([span(at, at + 3, joy=0.2) for at in range(0, 300, 3)])
    assert short[0].mean == pytest.approx(long[0].mean) == pytest.approx(0.2)
    assert feedback(timeline(*[span(at, at + 3, joy=0.2) for at in range(0, 300, 3)]), opted_in=True) is None


def test_overlapping_windows_count_their_time_once() -> None:
    (joy,) = means([span(0, 10, joy=1.0), span(3, 10, joy=0.0)])
    assert joy.seconds == 10
    assert joy.mean == pytest.approx((3 * 1.0 + 7 * 0.5) / 10)


def test_what_is_absent_counts_as_nothing() -> None:
    found = {item.name: item.mean for item in means([span(0, 5, joy=0.8), span(5, 10, anger=0.4)])}
    assert found == {"joy": pytest.approx(0.4), "anger": pytest.approx(0.2)}


SCORES = st.dictionaries(st.sampled_from(["joy", "anger", "calm"]), st.floats(0, 1), max_size=3)
SPANS = st.builds(lambda a, b, s: span(min(a, b), max(a, b) + 0.1, **s), st.floats(0, 50), st.floats(0, 50), SCORES)


@given(st.lists(SPANS, max_size=15))
def test_means_stay_between_0_and_the_peak(spans: list[EmotionSpan]) -> None:
    for item in means(spans):
        assert -1e-9 <= item.mean <= item.peak + 1e-9
        assert item.seconds <= 50.2


HAPPY = timeline(*[span(at, at + 4, joy=0.8, neutral=0.1) for at in range(0, 20, 4)])


def test_only_who_asked_is_told() -> None:
    assert feedback(HAPPY, opted_in=False) is None
    told = feedback(HAPPY, opted_in=True)
    assert told is not None
    assert (told.title, told.emotion, told.confidence) == ("Omi", "joy", 0.8)


@pytest.mark.parametrize(
    "unclear",
    [
        timeline(),
        timeline(*[span(at, at + 4, is_user=False, joy=0.9) for at in range(0, 20, 4)]),
        timeline(span(0, 4, joy=0.9), span(4, 8, joy=0.9)),
        timeline(span(0, 30, joy=0.9)),
        timeline(*[span(at, at + 4, joy=0.45) for at in range(0, 20, 4)]),
        timeline(*[span(at, at + 4, neutral=0.9, joy=0.6) for at in range(0, 20, 4)]),
        timeline(*[span(at, at + 4, schadenfreude=0.9) for at in range(0, 20, 4)]),
        timeline(*[span(at, at + 4, valence=0.6) for at in range(0, 60, 4)], estimate=True),
        timeline(*[span(at, at + 4, valence=0.9) for at in range(0, 12, 4)], estimate=True),
    ],
    ids=["empty", "not own", "too short", "one window", "weak", "neutral", "unknown word", "flat", "little evidence"],
)
def test_nothing_is_said_when_nothing_is_clear(unclear: EmotionTimeline) -> None:
    assert feedback(unclear, opted_in=True) is None


@pytest.mark.parametrize(("valence", "good"), [(0.9, True), (0.1, False)])
def test_an_estimate_speaks_of_words_and_not_of_feelings(valence: float, good: bool) -> None:
    told = feedback(
        timeline(*[span(at, at + 4, valence=valence) for at in range(0, 40, 4)], estimate=True), opted_in=True
    )
    assert told is not None
    assert ("good words" if good else "hard words") in told.text


def test_every_message_is_short() -> None:
    for name in ("joy", "sadness", "anger", "fear", "tiredness", "calm"):
        told = feedback(timeline(*[span(at, at + 4, **{name: 0.9}) for at in range(0, 20, 4)]), opted_in=True)
        assert told is not None
        assert len(told.text.split()) <= 20


def test_nothing_of_others_is_counted_as_the_users() -> None:
    mixed = timeline(span(0, 10, joy=0.2), span(10, 20, is_user=False, joy=1.0))
    assert [item.mean for item in of_user(mixed)] == [pytest.approx(0.2)]


def tone(hertz: float, loudness: float = 0.3, seconds: float = 1.5) -> bytes:
    t = np.arange(int(16_000 * seconds)) / 16_000
    wave = sum(np.sin(2 * np.pi * hertz * k * t) / k for k in range(1, 8))
    return (wave * loudness * 16_000).astype("<i2").tobytes()


@pytest.mark.parametrize("hertz", [80, 120, 180, 220, 300])
def test_the_pitch_of_a_voice_is_measured(hertz: float) -> None:
    found = measure(tone(hertz))
    assert found is not None
    assert 100 * 2 ** (found.pitch / 12) == pytest.approx(hertz, rel=0.02)
    assert found.pauses == pytest.approx(0.0, abs=0.02)


def test_louder_is_more_energy_and_silence_between_is_pause() -> None:
    soft, loud = measure(tone(150, 0.05)), measure(tone(150, 0.5))
    assert soft is not None
    assert loud is not None
    assert loud.energy - soft.energy == pytest.approx(20.0, abs=0.5)
    paused = measure(tone(150) + bytes(48_000) + tone(150))
    assert paused is not None
    assert paused.pauses == pytest.approx(1 / 3, abs=0.05)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(0).normal(0, 3000, 32_000).astype("<i2").tobytes()
    assert measure(noise) is None
    assert measure(bytes(64_000)) is None
    assert measure(b"") is None
