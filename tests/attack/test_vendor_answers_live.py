"""Whatever a live vendor's message holds: words with times, or one transient error (the audio is heard again)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omi.core.errors import ErrorKind, ProviderError
from tests.attack.effort import tries
from tests.attack.mutated import ANY_JSON, mutated, outcome
from transcription.vendors.live import deepgram, soniox, speechmatics
from transcription.vendors.live.base import LiveResult

SAID = [f"word{index}" for index in range(6)]
DEEPGRAM = {
    "type": "Results", "start": 10.0, "duration": 6.0, "is_final": True,
    "channel": {
        "alternatives": [
            {
                "transcript": " ".join(SAID),
                "words": [
                    {
                        "word": word, "punctuated_word": word, "start": 10.0 + n, "end": 10.5 + n,
                        "confidence": 0.9, "speaker": 0,
                    }
                    for n, word in enumerate(SAID)
                ],
            }
        ]
    },
}  # fmt: skip
SONIOX = {
    "tokens": [
        {
            "text": f" {word}", "start_ms": 10_000 + n * 1000, "end_ms": 10_500 + n * 1000, "is_final": True,
            "confidence": 0.9, "speaker": "1",
        }
        for n, word in enumerate(SAID)
    ],
    "final_audio_proc_ms": 16_000,
    "finished": True,
}  # fmt: skip
SPEECHMATICS = {
    "message": "AddTranscript",
    "metadata": {"start_time": 10.0, "end_time": 16.0, "transcript": " ".join(SAID)},
    "results": [
        {
            "type": "word", "start_time": 10.0 + n, "end_time": 10.5 + n,
            "alternatives": [{"content": word, "confidence": 0.9, "speaker": "S1", "language": "en"}],
        }
        for n, word in enumerate(SAID)
    ],
}  # fmt: skip

READERS: dict[str, tuple[Callable[[Any], LiveResult], Any, tuple[str | int, ...]]] = {
    "deepgram": (deepgram.result, DEEPGRAM, ("channel", "alternatives", 0, "words")),
    "soniox": (lambda message: soniox.TokenJoiner().take(message), SONIOX, ("tokens",)),
    "speechmatics": (speechmatics.result, SPEECHMATICS, ("results",)),
}


def sound(result: LiveResult) -> None:
    for word in result.words:
        assert math.isfinite(word.start)
        assert 0 <= word.start <= word.end < 2e7
        word.model_dump_json().encode()
        assert word.text.strip()
    assert result.heard_until is None or 0 <= result.heard_until < 2e7 or not result.final


@pytest.mark.parametrize("name", READERS)
@tries(150)
@given(data=st.data())
def test_any_message_is_a_sound_result_or_a_transient_error(name: str, data: Any) -> None:
    read, message, _ = READERS[name]
    anything = st.dictionaries(st.sampled_from(sorted(message)), ANY_JSON)
    given_ = data.draw(st.one_of(mutated(message).map(lambda made: made[0]), anything))
    made = outcome(read, given_)
    if isinstance(made, ProviderError):
        assert made.kind is ErrorKind.TRANSIENT
    else:
        sound(made)


@pytest.mark.parametrize("name", READERS)
@tries(150)
@given(data=st.data())
def test_one_wrong_field_of_a_word_costs_at_most_that_word(name: str, data: Any) -> None:
    read, message, words = READERS[name]
    made, where = data.draw(mutated(message, most=1, under=words))
    result = read(made)
    sound(result)
    (path,) = (path for _, path in where)
    touched = SAID[int(path[len(words)])]
    heard = " ".join(word.text for word in result.words)
    assert [word for word in SAID if word not in heard and word != touched] == []


@pytest.mark.parametrize("name", READERS)
@tries(60)
@given(answer=ANY_JSON)
def test_an_error_that_cannot_be_read_is_an_error_all_the_same(name: str, answer: Any) -> None:
    if name == "soniox":
        error = soniox.in_band({"error_code": answer, "error_type": answer})
    elif name == "speechmatics":
        error = speechmatics.failure(str(answer))
    else:
        error = deepgram.refused(400, str(answer), {})
    assert isinstance(error, ProviderError)
    assert len(error.code) <= 60
