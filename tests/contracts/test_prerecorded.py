"""What every pre-recorded transcriber must do, whoever is behind it."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from difflib import SequenceMatcher
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils.module_loading import import_string

from demo.vendors.server import VendorServer
from omi.core.errors import ErrorKind, MissingDependency, Outcome, ProviderError, UnsupportedFeature
from omi.settings_providers import _PRERECORDED
from tests.support.vendor_fixtures import Talk
from transcription.vendors.batch.base import Pending, PrerecordedRequest, PrerecordedTranscriber, Ticket, Transcript

ALL = sorted(_PRERECORDED)
REMOTE = [name for name in ALL if name != "local"]
SIMULATOR = {"fal_whisperx": "fal", "deepgram": "deepgram", "soniox": "soniox"}
KEYS = {"fal_whisperx": "FAL_KEY", "deepgram": "DEEPGRAM_API_KEY", "soniox": "SONIOX_API_KEY"}
TAKEN_BACK = {"fal_whisperx": {"cancel"}, "soniox": {"file_delete", "delete"}}
"""What a vendor that keeps something is asked when a call is canceled and forgotten; the others keep nothing."""
_heard: dict[str, Transcript] = {}


def backend(name: str) -> PrerecordedTranscriber:
    made: PrerecordedTranscriber = import_string(_PRERECORDED[name])()
    return made


def order(talk: Talk, **changes: Any) -> PrerecordedRequest:
    return replace(PrerecordedRequest(path=talk.path, seconds=talk.seconds, language="en"), **changes)


def finish(name: str, answer: Pending | Transcript) -> Transcript:
    """Ask until there is a transcript, each time as another process would: with a stored ticket and a new adapter."""
    end = time.monotonic() + 20
    while isinstance(answer, Pending):
        assert answer.seconds > 0
        assert time.monotonic() < end
        time.sleep(0.02)
        answer = backend(name).poll(Ticket.model_validate_json(answer.ticket.model_dump_json()))
    return answer


def hear(name: str, talk: Talk) -> Transcript:
    """The transcript of the talk, made once per adapter: the local engine takes seconds."""
    if name not in _heard:
        _heard[name] = finish(name, backend(name).submit(order(talk)))
    return _heard[name]


def plain(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


@pytest.fixture(params=ALL)
def name(request: pytest.FixtureRequest, vendors: VendorServer) -> str:
    return str(request.param)


@pytest.fixture(params=REMOTE)
def remote(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_hears_the_words(name: str, talk: Talk) -> None:
    said = plain(" ".join(word.word for word in talk.words))
    heard = plain(" ".join(word.text for word in hear(name, talk).words))
    alike = SequenceMatcher(None, said, heard, autojunk=False).ratio()
    assert alike >= (0.7 if name == "local" else 1.0)


def test_times_count_from_the_first_sample_and_never_run_backwards(name: str, talk: Talk) -> None:
    """A fault of the original: the first word was moved to zero, so that every later cut took the wrong audio."""
    words = hear(name, talk).words
    assert words[0].start == pytest.approx(talk.words[0].start, abs=0.4)
    assert words[-1].end == pytest.approx(talk.words[-1].end, abs=0.6)
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert all(0 <= word.start < word.end <= talk.seconds + 0.01 for word in words)
    assert all(word.text == word.text.strip() and " " not in word.text for word in words)


def test_it_tells_voices_apart_exactly_when_it_says_so(name: str, talk: Talk) -> None:
    transcript = hear(name, talk)
    assert transcript.diarized is backend(name).capabilities.diarization
    if not transcript.diarized:
        assert {word.speaker for word in transcript.words} == {None}
        return
    assert all(re.fullmatch(r"SPEAKER_\d\d", word.speaker or "") for word in transcript.words)
    spoken = [word.speaker for word in talk.words]
    heard = [word.speaker for word in transcript.words]
    assert len(set(zip(spoken, heard, strict=True))) == len(set(spoken)) == 2


def test_the_result_says_who_made_it_and_what_it_cost(name: str, talk: Talk) -> None:
    transcript, made = hear(name, talk), backend(name)
    assert (transcript.vendor, transcript.model) == (made.name, made.model_name)
    assert transcript.language in ("en", None)  # what was heard; not every vendor says it where it was told
    assert transcript.audio_seconds == pytest.approx(talk.seconds)
    assert (transcript.cost > 0) is made.capabilities.remote


def test_silence_is_a_legal_answer(name: str, silence: Path) -> None:
    request = PrerecordedRequest(path=silence, seconds=3.0, language="en")
    assert finish(name, backend(name).submit(request)).words == []


def test_a_recording_that_is_not_there_is_bad_input(name: str, tmp_path: Path) -> None:
    with pytest.raises(ProviderError) as caught:
        backend(name).submit(PrerecordedRequest(path=tmp_path / "none.wav", seconds=1.0, language="en"))
    assert (caught.value.kind, caught.value.outcome) == (ErrorKind.PERMANENT, Outcome.INVALID_INPUT)


def test_a_file_that_is_no_audio_is_refused_for_good(name: str, tmp_path: Path) -> None:
    path = tmp_path / "page.wav"
    path.write_bytes(b"<!DOCTYPE html><html></html>" * 50)
    with pytest.raises(ProviderError) as caught:
        finish(name, backend(name).submit(PrerecordedRequest(path=path, seconds=1.0, language="en")))
    assert caught.value.kind is ErrorKind.PERMANENT


def test_being_asked_for_what_it_cannot_do_names_vendor_and_feature(name: str, talk: Talk) -> None:
    made = backend(name)
    asked = {"vocabulary": order(talk, vocabulary=("Omi",)), "language": order(talk, language="xx")}
    can = {"vocabulary": made.capabilities.vocabulary, "language": made.capabilities.hears("xx")}
    for feature, request in asked.items():
        if can[feature]:
            continue
        with pytest.raises(UnsupportedFeature) as caught:
            made.submit(request)
        assert made.name in str(caught.value)
        assert feature in caught.value.feature


def test_cancel_and_forget_are_safe_at_any_time(name: str, talk: Talk, vendors: VendorServer) -> None:
    answer = backend(name).submit(order(talk)) if name != "local" else None
    ticket = answer.ticket if isinstance(answer, Pending) else Ticket(vendor=name, id="none")
    if isinstance(answer, Pending):
        finish(name, answer)
    for _ in range(2):
        backend(name).cancel(ticket)
        backend(name).forget(ticket)
    asked = {entry["op"] for entry in vendors.log(SIMULATOR[name])} if name in SIMULATOR else set()
    assert asked >= TAKEN_BACK.get(name, set())


def test_without_a_key_nothing_leaves_the_machine(
    remote: str, talk: Talk, vendors: VendorServer, settings: Any
) -> None:
    setattr(settings, KEYS[remote], "")
    with pytest.raises(MissingDependency) as caught:
        backend(remote).submit(order(talk))
    assert KEYS[remote] in caught.value.fix
    assert caught.value.outcome is Outcome.CONFIG_ERROR
    assert vendors.log(SIMULATOR[remote]) == []


STATUSES = {
    400: ErrorKind.PERMANENT, 401: ErrorKind.PERMANENT, 402: ErrorKind.QUOTA, 403: ErrorKind.PERMANENT,
    408: ErrorKind.TRANSIENT, 413: ErrorKind.PERMANENT, 415: ErrorKind.PERMANENT, 422: ErrorKind.PERMANENT,
    429: ErrorKind.TRANSIENT, 500: ErrorKind.TRANSIENT, 502: ErrorKind.TRANSIENT, 503: ErrorKind.TRANSIENT,
    504: ErrorKind.TRANSIENT, 529: ErrorKind.TRANSIENT,
}  # fmt: skip


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_one_meaning_and_is_never_retried(
    remote: str, status: int, talk: Talk, vendors: VendorServer
) -> None:
    fault = {"kind": "refuse", "status": status}
    if remote == "soniox" and status == 402:
        fault["code"] = "organization_balance_exhausted"
    vendors.faults(SIMULATOR[remote], fault)
    with pytest.raises(ProviderError) as caught:
        backend(remote).submit(order(talk))
    assert caught.value.kind is STATUSES[status]
    assert caught.value.vendor == backend(remote).name
    assert len(vendors.log(SIMULATOR[remote])) == 1
    assert "sim-key" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("7", 7.0),
        ("in an hour", pytest.approx(3600, abs=60)),
        ("soon", None),
        ("-5", 0.0),
        ("nan", None),
        ("99999999", 86400.0),
    ],
)
def test_retry_after_is_read_or_ignored(
    remote: str, said: str, expected: Any, talk: Talk, vendors: VendorServer
) -> None:
    if said == "in an hour":
        said = format_datetime(datetime.now(UTC) + timedelta(hours=1))
    vendors.faults(SIMULATOR[remote], {"kind": "refuse", "status": 429, "retry_after": said})
    with pytest.raises(ProviderError) as caught:
        backend(remote).submit(order(talk))
    assert caught.value.retry_after == expected


@pytest.mark.parametrize("kind", ["html", "truncated", "garbage", "reset", "drop"])
def test_a_senseless_answer_is_transient(remote: str, kind: str, talk: Talk, vendors: VendorServer) -> None:
    """A proxy's page or half a body says nothing about the recording."""
    vendors.faults(SIMULATOR[remote], {"kind": kind})
    with pytest.raises(ProviderError) as caught:
        backend(remote).submit(order(talk))
    assert (caught.value.kind, caught.value.outcome) == (ErrorKind.TRANSIENT, Outcome.UPSTREAM_ERROR)


@pytest.mark.parametrize("fault", [{"kind": "hang", "seconds": 5}, {"kind": "slow", "seconds": 30}])
def test_a_vendor_that_hangs_or_trickles_is_left(
    remote: str, fault: dict[str, Any], talk: Talk, vendors: VendorServer
) -> None:
    vendors.faults(SIMULATOR[remote], fault)
    begun = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        backend(remote).submit(order(talk, timeout=1.5))
    assert (caught.value.kind, caught.value.outcome) == (ErrorKind.TRANSIENT, Outcome.TIMEOUT)
    assert time.monotonic() - begun < 4.5


def test_a_vendor_that_is_not_there_is_transient(remote: str, talk: Talk, vendors: VendorServer, settings: Any) -> None:
    for url in ("FAL_QUEUE_URL", "DEEPGRAM_URL", "SONIOX_API_URL"):
        setattr(settings, url, "http://127.0.0.1:9")
    with pytest.raises(ProviderError) as caught:
        backend(remote).submit(order(talk))
    assert caught.value.kind is ErrorKind.TRANSIENT


def test_an_empty_result_is_not_an_error(remote: str, talk: Talk, vendors: VendorServer) -> None:
    """Whether silence was expected is for the assess step."""
    vendors.faults(SIMULATOR[remote], {"kind": "empty", "op": "create" if remote == "soniox" else None})
    assert finish(remote, backend(remote).submit(order(talk))).words == []


def test_voices_that_the_vendor_left_open_stay_open(remote: str, talk: Talk, vendors: VendorServer) -> None:
    vendors.faults(SIMULATOR[remote], {"kind": "null_speakers", "op": "create" if remote == "soniox" else None})
    transcript = finish(remote, backend(remote).submit(order(talk)))
    assert {word.speaker for word in transcript.words} == {None}
    assert transcript.diarized is False
