"""Soniox asynchronous: sub-words become words, nothing stays behind at the vendor."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.vendors.server import VendorServer
from omi.core.errors import ErrorKind, Outcome, ProviderError
from tests.support.vendor_fixtures import Talk
from transcription.vendors.batch.base import JobLost, Pending, PrerecordedRequest, Ticket, Transcript
from transcription.vendors.batch.soniox import SonioxPrerecorded, Token, words_of


def texts(*tokens: str | tuple[str, str]) -> list[str]:
    made = [Token(text=t) if isinstance(t, str) else Token(text=t[0], speaker=t[1]) for t in tokens]
    return [word.text for word in words_of(made)]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (["Beau", "ti", "ful", " day", "."], ["Beautiful", "day."]),
        ([" Hello", " ", "you"], ["Hello", "you"]),
        ([("Yes", "1"), ("No", "2")], ["Yes", "No"]),
        (["end", "<end>", " next", "<fin>"], ["end", "next"]),
        (["今天", "天气"], ["今天", "天气"]),
        ([" 3", ".", "5", " km"], ["3.5", "km"]),
        ([], []),
    ],
)
def test_tokens_are_joined_into_words(tokens: Any, expected: list[str]) -> None:
    assert texts(*tokens) == expected


@given(st.lists(st.text(alphabet="ab .天", min_size=1, max_size=5), max_size=30))
def test_no_character_is_lost_and_no_words_are_glued(tokens: list[str]) -> None:
    """A fault of the original: taking double blanks out glued words together."""
    whole = "".join(tokens)
    made = texts(*tokens)
    assert "".join("".join(made).split()) == "".join(whole.split())
    assert all(" " not in word.strip() or word in whole for word in made)


def test_translations_are_not_the_transcript() -> None:
    tokens = [
        Token(text="Hallo", translation_status="original"),
        Token(text=" Hello", translation_status="translation"),
    ]
    assert [word.text for word in words_of(tokens)] == ["Hallo"]


@pytest.fixture
def request_(talk: Talk) -> PrerecordedRequest:
    return PrerecordedRequest(path=talk.path, seconds=talk.seconds, language="en", reference="run-7")


def finish(ticket: Ticket) -> Transcript:
    end = time.monotonic() + 20
    while isinstance(answer := SonioxPrerecorded().poll(ticket), Pending):
        assert time.monotonic() < end
        ticket = answer.ticket
        time.sleep(0.02)
    return answer


def test_forget_erases_audio_and_transcript(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    ticket = SonioxPrerecorded().submit(request_).ticket
    finish(ticket)
    kept = vendors.state.store["soniox"]
    assert (len(kept["files"]), len(kept["transcriptions"])) == (1, 1)
    SonioxPrerecorded().forget(ticket)
    assert (kept["files"], kept["transcriptions"]) == ({}, {})


def test_a_refused_order_leaves_no_audio_behind(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    vendors.faults("soniox", {"kind": "refuse", "op": "create", "status": 429, "code": "limit_exceeded"})
    with pytest.raises(ProviderError) as caught:
        SonioxPrerecorded().submit(request_)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.TRANSIENT, "limit_exceeded")
    assert vendors.state.store["soniox"]["files"] == {}


@pytest.mark.parametrize(
    ("error_type", "kind"),
    [("invalid_audio_file", ErrorKind.PERMANENT), ("internal_error", ErrorKind.TRANSIENT)],
)
def test_a_failed_job_says_whether_to_try_again(
    request_: PrerecordedRequest, vendors: VendorServer, error_type: str, kind: ErrorKind
) -> None:
    vendors.faults("soniox", {"kind": "failed", "op": "create", "error_type": error_type})
    with pytest.raises(ProviderError) as caught:
        finish(SonioxPrerecorded().submit(request_).ticket)
    assert (caught.value.kind, caught.value.code) == (kind, error_type)
    assert isinstance(caught.value, JobLost)


def test_a_retired_model_is_a_matter_of_configuration(
    request_: PrerecordedRequest, vendors: VendorServer, settings: Any
) -> None:
    settings.SONIOX_ASYNC_MODEL = "stt-async-gone"
    with pytest.raises(ProviderError) as caught:
        SonioxPrerecorded().submit(request_)
    assert (caught.value.kind, caught.value.outcome) == (ErrorKind.PERMANENT, Outcome.CONFIG_ERROR)


def test_a_job_that_was_lost_is_told_apart(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    ticket = SonioxPrerecorded().submit(request_).ticket
    vendors.faults("soniox", {"kind": "unknown", "op": "poll"})
    with pytest.raises(ProviderError) as caught:
        SonioxPrerecorded().poll(ticket)
    assert caught.value.code == "unknown_job"
    assert isinstance(caught.value, JobLost)
