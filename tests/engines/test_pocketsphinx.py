from __future__ import annotations

import numpy as np
import pytest

from tests.engines.conftest import error_rate, plain
from transcription.engines.pocketsphinx import PocketsphinxBatch, PocketsphinxLive


@pytest.fixture(scope="module")
def batch():
    return PocketsphinxBatch()


@pytest.fixture(scope="module")
def first_turns(conversation):
    end = conversation.turns[1]["end"] + 0.3
    return conversation.cut(0, end), conversation.text(0, end)


@pytest.fixture(scope="module")
def batch_words(batch, first_turns):
    return batch.transcribe(first_turns[0])


def stream(engine, pcm, step=3201):
    raw = pcm.tobytes()
    events = [event for at in range(0, len(raw), step) for event in engine.feed(raw[at : at + step])]
    return events + engine.finish()


def test_batch_hears_the_bundled_voices(batch_words, first_turns):
    pcm, text = first_turns
    words = batch_words
    assert error_rate(text, plain(words)) < 0.15
    assert [w.start for w in words] == sorted(w.start for w in words)
    assert all(0 <= w.start < w.end <= len(pcm) / 16_000 for w in words)
    assert not any(mark in w.text for w in words for mark in "<>([")


def test_batch_words_lie_where_they_were_said(batch_words, conversation):
    said = {w["word"]: w["start"] for w in conversation.words[:34]}
    named = {"weekend", "mountains", "children", "stayed"}
    errors = [abs(said[text] - w.start) for w in batch_words if (text := w.text.lower().strip(".")) in named]
    assert len(errors) >= 3
    assert max(errors) < 0.1


def test_live_partials_grow_into_finals_with_session_times(first_turns):
    pcm, text = first_turns
    events = stream(PocketsphinxLive(offset=1000.0), pcm)
    finals = [event for event in events if event.final]
    words = [word for event in finals for word in event.words]
    assert error_rate(text, plain(words)) < 0.2
    assert any(not event.final for event in events)
    assert all(1000.0 <= w.start < w.end <= 1000.1 + len(pcm) / 16_000 for w in words)
    throughs = [event.through for event in finals]
    assert throughs == sorted(throughs)
    assert throughs[-1] >= 1000.0 + len(pcm) / 16_000  # every second is accounted for at the end


def test_a_caller_that_is_behind_gets_finals_only(first_turns):
    engine = PocketsphinxLive()
    events = engine.feed(first_turns[0].tobytes(), partials=False) + engine.finish()
    assert events
    assert all(event.final for event in events)


@pytest.mark.parametrize("samples", [0, 1, 319, 16_000])
def test_nothing_said_is_no_word_and_no_error(batch, samples):
    silence = np.zeros(samples, np.int16)
    assert batch.transcribe(silence) == []
    assert [w for event in stream(PocketsphinxLive(), silence) for w in event.words] == []


def test_an_odd_byte_at_the_end_is_no_sample(first_turns):
    engine = PocketsphinxLive()
    assert engine.feed(first_turns[0][:8000].tobytes() + b"\x01", partials=False) == []
    assert all(event.final for event in engine.finish())


def test_floats_are_refused(batch):
    with pytest.raises(TypeError):
        batch.transcribe(np.zeros(16_000, np.float32))
