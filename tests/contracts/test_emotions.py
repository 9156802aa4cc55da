"""What every emotion meter must do, whoever is behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.utils.module_loading import import_string

from demo.vendors.server import VendorServer
from emotions.base import EmotionMeter, EmotionRequest
from omi.core.errors import ErrorKind, Outcome, ProviderError
from omi.settings_providers import _EMOTIONS
from tests.support.sound import write_wav
from tests.support.vendor_fixtures import Talk
from transcription.segments import Segment


@pytest.fixture(params=sorted(_EMOTIONS))
def meter(request: pytest.FixtureRequest, vendors: VendorServer) -> EmotionMeter:
    made: EmotionMeter = import_string(_EMOTIONS[str(request.param)])()
    return made


def segments(talk: Talk) -> list[Segment]:
    """One segment per turn of the talk; the user is Anna."""
    turns: list[Segment] = []
    for word in talk.words:
        if turns and turns[-1].speaker == f"SPEAKER_0{int(word.speaker == 'Anna')}":
            turns[-1] = turns[-1].model_copy(update={"end": word.end, "text": f"{turns[-1].text} {word.word}"})
        else:
            label = f"SPEAKER_0{int(word.speaker == 'Anna')}"
            turns.append(
                Segment(text=word.word, speaker=label, is_user=label == "SPEAKER_01", start=word.start, end=word.end)
            )
    return turns


def test_spans_are_sorted_in_the_recording_and_scored_between_0_and_1(meter: EmotionMeter, talk: Talk) -> None:
    timeline = meter.measure(EmotionRequest(talk.path, talk.seconds, segments(talk), language="en"))
    assert (timeline.vendor, timeline.model) == (meter.name, meter.model_name)
    assert [span.start for span in timeline.spans] == sorted(span.start for span in timeline.spans)
    for span in timeline.spans:
        assert 0 <= span.start < span.end <= talk.seconds
        assert span.emotions
        assert all(0 <= score.score <= 1 and score.name == score.name.lower() for score in span.emotions)
    assert bool(timeline.spans) is (meter.name != "none")


def test_a_span_belongs_to_the_voice_under_it(meter: EmotionMeter, talk: Talk) -> None:
    turns = segments(talk)
    for span in meter.measure(EmotionRequest(talk.path, talk.seconds, turns, language="en")).spans:
        own = [turn for turn in turns if turn.start < span.end and span.start < turn.end]
        if len(own) == 1:
            assert (span.speaker, span.is_user) == (own[0].speaker, own[0].is_user)


def test_silence_and_nobody_give_no_spans(meter: EmotionMeter, silence: Path) -> None:
    assert meter.measure(EmotionRequest(silence, 3.0, [])).spans == []


def test_results_do_not_leak_from_one_talk_into_the_next(meter: EmotionMeter, talk: Talk, silence: Path) -> None:
    """A fault of the original: a mutable default carried emotions over to other users."""
    request = EmotionRequest(talk.path, talk.seconds, segments(talk), language="en")
    first = meter.measure(request)
    assert meter.measure(EmotionRequest(silence, 3.0, [])).spans == []
    assert meter.measure(request) == first


def test_audio_of_another_form_is_bad_input(meter: EmotionMeter, tmp_path: Path) -> None:
    if meter.name == "none":
        pytest.skip("reads no audio")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF....")
    wrong_rate = write_wav(tmp_path / "rate.wav", bytes(16_000), rate=8_000)
    for path in (broken, wrong_rate, tmp_path / "missing.wav"):
        with pytest.raises(ProviderError) as caught:
            meter.measure(EmotionRequest(path, 1.0, []))
        assert (caught.value.kind, caught.value.outcome) == (ErrorKind.PERMANENT, Outcome.INVALID_INPUT)
