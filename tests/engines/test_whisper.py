"""The bundled Whisper itself, loaded once: recordings, streams, silence, languages, vocabulary."""

from __future__ import annotations

import numpy as np
import pytest

from bench import speech_languages
from bench.speech import conversation as bundled
from bench.speech import edge_errors, edits, sounding
from bench.speech_noise import pieces
from omi.core.errors import UnsupportedFeature
from tests.engines.conftest import error_rate, plain
from transcription.engines.whisper.batch import WhisperBatch
from transcription.engines.whisper.files import bundled_model
from transcription.engines.whisper.live import LONGEST, WhisperLive
from transcription.engines.whisper.model import Whisper
from transcription.segments import text_of

RATE = 16_000
ESPEAK = pytest.mark.skipif(not speech_languages.available(), reason="espeak-ng is not installed")


@pytest.fixture(scope="module")
def whisper():
    return Whisper(bundled_model())


@pytest.fixture(scope="module")
def first_turns(conversation):
    end = conversation.turns[1]["end"] + 0.5
    return conversation.cut(0, end), conversation.text(0, end)


def streamed(whisper, pcm, *, step=1600, partials=True, **options):
    engine = WhisperLive(whisper).stream(language="en", **options)
    raw = pcm.tobytes()
    events = [
        event
        for at in range(0, len(raw), 2 * step)
        for event in engine.feed(raw[at : at + 2 * step], partials=partials)
    ]
    return events + engine.finish()


@pytest.fixture(scope="module")
def heard(whisper, first_turns):
    return streamed(whisper, first_turns[0], offset=1000.0)


def test_a_recording_is_heard_with_its_punctuation(whisper, first_turns):
    pcm, text = first_turns
    words = WhisperBatch(whisper, language="en").transcribe(pcm)
    assert error_rate(text, plain(words)) <= 0.03
    assert text_of(words).startswith("Good morning. It is good to see you again.")
    assert [w.start for w in words] == sorted(w.start for w in words)
    assert all(0 <= w.start < w.end <= len(pcm) / RATE for w in words)
    assert all(0 < w.confidence <= 1 and w.language == "en" for w in words)


def test_turns_begin_and_end_where_their_sound_does(whisper):
    talk = bundled()
    talk.turns = talk.turns[:4]
    talk.pcm = talk.pcm[: round((talk.turns[-1][1] + 0.5) * RATE)]
    off = edge_errors(talk, WhisperBatch(whisper, language="en").transcribe(talk.pcm), sounding)
    assert len(off) == 8
    assert max(off) <= 0.15


def test_live_words_come_in_order_once_and_in_session_time(heard, first_turns):
    pcm, text = first_turns
    words = [word for event in heard for word in event.words]
    assert error_rate(text, plain(words)) <= 0.1
    starts = [word.start for word in words]
    assert starts == sorted(set(starts))
    assert all(1000.0 <= w.start < w.end <= 1000.1 + len(pcm) / RATE for w in words)
    throughs = [event.through for event in heard]
    assert throughs == sorted(throughs)
    assert throughs[-1] >= 1000.0 + len(pcm) / RATE  # every second is accounted for at the end


def test_words_are_shown_while_somebody_goes_on_talking(whisper, conversation):
    """Of a turn of five seconds the first words are there before it ends, and no event takes one back."""
    turn = conversation.turns[1]
    engine = WhisperLive(whisper).stream(language="en")
    raw = conversation.cut(turn["start"] - 0.3, turn["end"] - 0.5).tobytes()
    events = [event for at in range(0, len(raw), 3200) for event in engine.feed(raw[at : at + 3200])]
    shown = [word for event in events for word in event.words]
    assert len(shown) >= 3
    assert all(event.final for event in events)
    said = turn["text"].lower().replace(",", "").replace(".", "").split()
    assert error_rate(" ".join(said[: len(shown)]), plain(shown)) <= 0.2


def test_a_caller_that_is_behind_hears_whole_utterances_only(whisper, first_turns):
    pcm, text = first_turns
    events = streamed(whisper, pcm, step=RATE * 5, partials=False)
    assert error_rate(text, plain([word for event in events for word in event.words])) <= 0.1
    assert len([event for event in events if event.words]) <= 4


def test_talk_without_a_pause_is_cut_and_loses_no_word(whisper, conversation):
    """The turns without the pauses between them: one utterance is as long as is heard at once."""
    turns = conversation.turns[:5]
    pcm = np.concatenate([conversation.cut(turn["start"], turn["end"]) for turn in turns])
    assert len(pcm) / RATE > LONGEST
    words = [word for event in streamed(whisper, pcm, partials=False) for word in event.words]
    assert error_rate(" ".join(turn["text"] for turn in turns), plain(words)) <= 0.12


@pytest.mark.parametrize("samples", [0, 1, 319, 16_000])
def test_nothing_said_is_no_word_and_no_error(whisper, samples):
    silence = np.zeros(samples, np.int16)
    assert WhisperBatch(whisper).transcribe(silence) == []
    assert [w for event in streamed(whisper, silence) for w in event.words] == []


def test_an_odd_byte_at_the_end_is_no_sample(whisper, first_turns):
    engine = WhisperLive(whisper).stream(language="en")
    assert engine.feed(first_turns[0][:8000].tobytes() + b"\x01", partials=False) == []
    assert all(event.final for event in engine.finish())


def test_floats_are_refused(whisper):
    with pytest.raises(TypeError):
        WhisperBatch(whisper).transcribe(np.zeros(RATE, np.float32))


def test_no_words_are_made_of_sound_without_speech(whisper):
    """Five seconds of each kind; `python -m bench.speech silence` does an hour."""
    for kind, pcm in pieces(40.0, piece=5.0):
        assert WhisperBatch(whisper, vocabulary="Xiomara, Kubernetes").transcribe(pcm) == [], kind
        assert [word for event in streamed(whisper, pcm, vocabulary="Xiomara") for word in event.words] == [], kind


def test_no_words_are_made_of_the_pause_after_speech(whisper, first_turns):
    pcm = first_turns[0]
    quiet = np.random.default_rng(2).normal(0, 60, RATE * 15).astype(np.int16)
    words = WhisperBatch(whisper, language="en", vocabulary="Xiomara").transcribe(np.concatenate([pcm, quiet]))
    assert words[-1].end <= len(pcm) / RATE
    assert "iomara" not in text_of(words)


def test_a_language_that_the_model_does_not_know_is_refused(whisper):
    with pytest.raises(UnsupportedFeature, match="'xx'"):
        WhisperBatch(whisper, language="xx")
    with pytest.raises(UnsupportedFeature, match="'xx-YY'"):
        WhisperLive(whisper).stream(language="xx-YY")


@ESPEAK
@pytest.mark.parametrize("language", ["es", "it"])
def test_other_languages_are_heard_and_written_in_their_own_way(whisper, language):
    """A formant synthesiser's voice: that the language works, not how well people are heard."""
    voice, text = speech_languages.SENTENCES[language]
    words = WhisperBatch(whisper, language=language).transcribe(speech_languages.spoken(voice, text))
    assert {word.language for word in words} == {language}
    true = speech_languages.units(text, language)
    assert edits(true, speech_languages.units(text_of(words), language)) <= 0.5 * len(true)


def test_the_language_is_detected_where_none_is_told(whisper, first_turns):
    words = WhisperBatch(whisper).transcribe(first_turns[0])
    assert {word.language for word in words} == {"en"}


@ESPEAK
@pytest.mark.parametrize(
    "language", ["fr", "ja", *(pytest.param(code, marks=pytest.mark.long) for code in ("es", "it"))]
)
def test_the_language_is_detected_in_a_synthetic_voice(whisper, language):
    """German and Portuguese of espeak-ng are not among them: by their sound they are Thai and Latin, and what an int8
    model makes of them differs from one kind of processor to the next. (``test_whisper_languages`` has how it is
    decided then.)
    """
    pcm = speech_languages.spoken(*speech_languages.SENTENCES[language])
    assert {word.language for word in WhisperBatch(whisper).transcribe(pcm)} == {language}


@ESPEAK
@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Please send the report to Kaelyn in the other office.", "Kaelyn"),
        pytest.param("Tell Katarzyna that the Omicron project is finished.", "Katarzyna", marks=pytest.mark.long),
        pytest.param(
            "Yesterday Priyanka and Anoushka went to the cinema together.", "Anoushka", marks=pytest.mark.long
        ),
    ],
)
def test_names_that_are_told_are_heard(whisper, said, name):
    pcm = speech_languages.spoken("en-us", said)
    assert name not in text_of(WhisperBatch(whisper, language="en").transcribe(pcm))
    assert name in text_of(WhisperBatch(whisper, language="en", vocabulary=f"{name}, Zeebrugge").transcribe(pcm))
