"""Whatever a vendor answers about a recording: a sound transcript or one final error, and one field costs at most its
own word."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emotions.hume import spans_of
from memories.structuring.openai import _Answer, to_structured
from omi.core.errors import ErrorKind, ProviderError
from tests.attack.effort import tries
from tests.attack.mutated import ANY_JSON, mutated, outcome
from transcription.vendors.batch.base import PrerecordedRequest, Ticket, Transcript
from transcription.vendors.batch.deepgram import DeepgramPrerecorded
from transcription.vendors.batch.fal_whisperx import FalWhisperX
from transcription.vendors.batch.soniox import SonioxPrerecorded

SECONDS = 30.0
SAID = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima".split()


def _spread(index: int) -> tuple[float, float]:
    return index * 2.0, index * 2.0 + 1.5


FAL = {
    "text": " ".join(SAID),
    "chunks": [{"timestamp": [*_spread(n)], "text": word, "speaker": "SPEAKER_00"} for n, word in enumerate(SAID)],
    "inferred_languages": ["en"],
    "diarization_segments": [{"timestamp": [0.0, 25.0], "speaker": "SPEAKER_00"}],
}
DEEPGRAM = {
    "metadata": {"duration": SECONDS},
    "results": {
        "channels": [
            {
                "detected_language": "en",
                "alternatives": [
                    {
                        "transcript": " ".join(SAID),
                        "words": [
                            {
                                "word": word, "punctuated_word": word, "start": _spread(n)[0], "end": _spread(n)[1],
                                "confidence": 0.9, "speaker": 0, "language": "en",
                            }
                            for n, word in enumerate(SAID)
                        ],
                    }
                ],
            }
        ]
    },
}  # fmt: skip
SONIOX = {
    "id": "1",
    "text": " ".join(SAID),
    "tokens": [
        {
            "text": f" {word}", "start_ms": _spread(n)[0] * 1000, "end_ms": _spread(n)[1] * 1000, "confidence": 0.9,
            "speaker": "1", "language": "en",
        }
        for n, word in enumerate(SAID)
    ],
}  # fmt: skip


def fal(answer: Any) -> Transcript:
    return FalWhisperX().transcript(Ticket(vendor="fal_whisperx", id="1", state={"seconds": SECONDS}), answer)


def deepgram(answer: Any) -> Transcript:
    return DeepgramPrerecorded()._transcript(PrerecordedRequest(path=Path("x"), seconds=SECONDS), answer)


def soniox(answer: Any) -> Transcript:
    return SonioxPrerecorded().transcript(Ticket(vendor="soniox", id="1", state={"seconds": SECONDS}), answer)


READERS: dict[str, tuple[Callable[[Any], Transcript], Any, tuple[str | int, ...]]] = {
    "fal": (fal, FAL, ("chunks",)),
    "deepgram": (deepgram, DEEPGRAM, ("results", "channels", 0, "alternatives", 0, "words")),
    "soniox": (soniox, SONIOX, ("tokens",)),
}


def sound(transcript: Transcript) -> None:
    """It can be stored and shown."""
    transcript.model_dump_json().encode()
    json.dumps(transcript.model_dump(mode="json"), allow_nan=False)
    for word in transcript.words:
        assert 0 <= word.start < word.end <= SECONDS + 0.02
        assert word.text.strip() == word.text != ""
        assert "\x00" not in word.text


@pytest.mark.parametrize("name", READERS)
@tries(150)
@given(data=st.data())
def test_anything_is_a_sound_transcript_or_a_final_error(name: str, data: Any) -> None:
    read, answer, _ = READERS[name]
    given_ = data.draw(st.one_of(mutated(answer).map(lambda made: made[0]), ANY_JSON))
    made = outcome(read, given_)
    if isinstance(made, ProviderError):
        assert made.kind is ErrorKind.PERMANENT, "the same answer comes again, and is paid for again"
    else:
        sound(made)


@pytest.mark.parametrize("name", READERS)
@tries(150)
@given(data=st.data())
def test_one_wrong_field_costs_at_most_its_own_word(name: str, data: Any) -> None:
    read, answer, words = READERS[name]
    made, where = data.draw(mutated(answer, most=1, under=words))
    transcript = read(made)
    sound(transcript)
    (path,) = (path for _, path in where)
    touched = {SAID[int(path[len(words)])]}
    heard = " ".join(word.text for word in transcript.words)
    assert [word for word in SAID if word not in heard and word not in touched] == []


@tries(150)
@given(given_=st.one_of(ANY_JSON, st.data()))
def test_emotions_are_spans_within_the_recording_or_a_final_error(given_: Any) -> None:
    answer = {
        "measurements": [
            {
                "measurement_id": n, "audio_start_ms": n * 1000, "audio_end_ms": n * 1000 + 900,
                "expressions": [{"name": "joy", "probability": 0.5}, {"name": "anger", "probability": 0.1}],
            }
            for n in range(4)
        ]
    }  # fmt: skip
    where: Any = None
    if hasattr(given_, "draw"):
        given_, where = given_.draw(mutated(answer, most=1, under=("measurements",)))
    spans = outcome(lambda answer: spans_of(answer, seconds=SECONDS), given_)
    if isinstance(spans, ProviderError):
        assert spans.kind is ErrorKind.PERMANENT
        assert where is None, "three measurements of four could be read"
        return
    for span in spans:
        json.dumps(span.model_dump(mode="json"), allow_nan=False)
        assert 0 <= span.start < span.end <= SECONDS
        assert all(0 <= item.score <= 1 for item in span.emotions)
    assert where is None or len(spans) >= 3


MEMORY = {
    "title": "A talk", "overview": "They talk.", "emoji": "x", "category": "work",
    "action_items": [{"description": "Buy milk"}, {"description": "Call Anna"}],
    "events": [
        {"title": "Dinner", "description": "", "start": "2026-11-29T19:00:00", "duration_minutes": 60},
        {"title": "Lunch", "description": "", "start": "2026-11-30T12:00:00", "duration_minutes": 60},
    ],
    "discard": False, "discard_reason": "",
}  # fmt: skip


@tries(200)
@given(given_=st.one_of(ANY_JSON, st.data()))
def test_a_model_s_answer_is_a_structure_or_none_at_all(given_: Any) -> None:
    from datetime import UTC, datetime

    mutated_one = hasattr(given_, "draw")
    if mutated_one:
        given_, _ = given_.draw(mutated(MEMORY, most=1))
    try:
        answer = _Answer.model_validate(given_)
    except ValueError:
        assert not mutated_one, "title or overview could be read"
        return
    made = to_structured(answer, datetime(2026, 11, 28, 12, tzinfo=UTC), "")
    made.model_dump_json().encode()
    if mutated_one:
        assert made.title
        assert len(made.events) + len(made.action_items) >= 2
