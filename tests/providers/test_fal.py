"""fal's queue: submitted once, resumed by its request id, every ending has a meaning."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from demo.vendors.server import VendorServer
from omi.core.errors import ErrorKind, Outcome, ProviderError, UnsupportedFeature
from omi.core.metrics import vendor_answer_losses_total
from tests.support.vendor_fixtures import Talk
from transcription.vendors.batch import fal_whisperx
from transcription.vendors.batch.base import JobLost, Pending, PrerecordedRequest, Ticket, Transcript
from transcription.vendors.batch.fal_whisperx import FalWhisperX


@pytest.fixture
def request_(talk: Talk) -> PrerecordedRequest:
    return PrerecordedRequest(path=talk.path, seconds=talk.seconds, language="en-GB", speakers=5, vocabulary=("Omi",))


def submit(request: PrerecordedRequest) -> Ticket:
    return FalWhisperX().submit(request).ticket


def finish(ticket: Ticket) -> Transcript:
    end = time.monotonic() + 20
    while isinstance(answer := FalWhisperX().poll(ticket), Pending):
        assert time.monotonic() < end
        ticket = answer.ticket
        time.sleep(0.02)
    return answer


def failure(ticket: Ticket) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        finish(ticket)
    return caught.value


def sent(vendors: VendorServer) -> dict[str, Any]:
    (entry,) = vendors.log("fal", "submit")
    body: dict[str, Any] = json.loads(entry["text"])
    return body


def test_it_asks_for_words_voices_and_the_memorys_language(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    """The original fixed the language to English and forced the live count of voices on the vendor."""
    submit(request_)
    body = sent(vendors)
    assert body["audio_url"].startswith("data:audio/wav;base64,")
    assert (body["chunk_level"], body["diarize"], body["version"], body["task"]) == ("word", True, "3", "transcribe")
    assert body["language"] == "en"
    assert body["prompt"] == "Omi"
    assert "num_speakers" not in body


@pytest.mark.parametrize("language", [None, "multi"])
def test_an_unknown_language_is_left_to_be_detected(
    request_: PrerecordedRequest, vendors: VendorServer, language: str | None
) -> None:
    submit(replace(request_, language=language))
    assert "language" not in sent(vendors)


def test_a_public_address_is_sent_instead_of_the_audio(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    submit(replace(request_, url="https://example.org/a.wav"))
    assert sent(vendors)["audio_url"] == "https://example.org/a.wav"


def test_audio_too_large_for_the_request_needs_an_address(
    request_: PrerecordedRequest, vendors: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_whisperx, "INLINE_BYTES", 1000)
    with pytest.raises(UnsupportedFeature, match="OMI_PUBLIC_URL"):
        submit(request_)
    assert vendors.log("fal") == []


def test_the_callback_address_goes_along(request_: PrerecordedRequest, vendors: VendorServer, settings: Any) -> None:
    settings.FAL_WEBHOOK_URL = "http://127.0.0.1:9/from-settings"
    submit(request_)
    submit(replace(request_, webhook_url="http://127.0.0.1:9/hook?run=1"))
    asked = [dict(entry["query"])["fal_webhook"] for entry in vendors.log("fal", "submit")]
    assert asked == ["http://127.0.0.1:9/from-settings", "http://127.0.0.1:9/hook?run=1"]


def test_a_crash_after_the_submit_costs_no_second_one(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    stored = submit(request_).model_dump_json()
    finish(Ticket.model_validate_json(stored))
    finish(Ticket.model_validate_json(stored))
    assert len(vendors.log("fal", "submit")) == 1


def test_while_it_waits_it_says_where_it_stands_and_asks_ever_more_rarely(
    request_: PrerecordedRequest, vendors: VendorServer
) -> None:
    vendors.faults("fal", {"kind": "stuck", "at": "IN_QUEUE"})
    ticket, waits = submit(request_), []
    for _ in range(40):
        answer = FalWhisperX().poll(ticket)
        assert isinstance(answer, Pending)
        assert "queued" in answer.detail
        ticket = answer.ticket
        waits.append(answer.seconds)
    assert waits == sorted(waits)
    assert waits[-1] == 30.0


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ({"status": 503, "error_type": "runner_scheduling_failure"}, ErrorKind.TRANSIENT, "runner_scheduling_failure"),
        ({"status": 504, "error_type": "request_timeout"}, ErrorKind.TRANSIENT, "request_timeout"),
        ({"status": 500, "error_type": "internal_server_error"}, ErrorKind.TRANSIENT, "internal_server_error"),
        ({"status": 422, "error_type": "bad_thing", "retryable": True}, ErrorKind.TRANSIENT, "bad_thing"),
        ({"status": 422, "error_type": "bad_thing"}, ErrorKind.PERMANENT, "bad_thing"),
    ],
)
def test_a_failed_run_is_retried_or_not_as_fal_says(
    request_: PrerecordedRequest, vendors: VendorServer, fault: dict[str, Any], kind: ErrorKind, code: str
) -> None:
    vendors.faults("fal", {"kind": "failed", **fault})
    error = failure(submit(request_))
    assert (error.kind, error.code) == (kind, code)
    assert isinstance(error, JobLost)  # asking this job again would never end


@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize("op", ["status", "result"])
def test_a_poll_that_fails_leaves_the_job_alive(
    request_: PrerecordedRequest, vendors: VendorServer, op: str, status: int
) -> None:
    ticket = submit(request_)
    time.sleep(0.3)
    vendors.faults("fal", {"kind": "refuse", "op": op, "status": status})
    error = failure(ticket)
    assert error.kind is ErrorKind.TRANSIENT
    assert not isinstance(error, JobLost)
    assert finish(ticket).words


def test_audio_that_fal_cannot_read_is_bad_input(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    error = failure(submit(replace(request_, url="data:audio/wav;base64,AAAA")))
    assert (error.kind, error.outcome, error.code) == (
        ErrorKind.PERMANENT,
        Outcome.INVALID_INPUT,
        "audio_load_error",
    )


def test_a_job_that_fal_has_lost_is_told_apart(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    """Submitting again can help, so the pipeline is told which it is."""
    vendors.faults("fal", {"kind": "unknown"})
    error = failure(submit(request_))
    assert (error.kind, error.code) == (ErrorKind.TRANSIENT, "unknown_job")
    assert isinstance(error, JobLost)


def test_a_retired_app_is_a_matter_of_configuration(
    request_: PrerecordedRequest, vendors: VendorServer, settings: Any
) -> None:
    settings.FAL_APP = "fal-ai/gone"
    with pytest.raises(ProviderError) as caught:
        submit(request_)
    assert (caught.value.kind, caught.value.outcome) == (ErrorKind.PERMANENT, Outcome.CONFIG_ERROR)


def test_an_empty_account_is_quota(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    vendors.faults("fal", {"kind": "refuse", "status": 403, "message": "User is locked. Reason: Exhausted balance."})
    with pytest.raises(ProviderError) as caught:
        submit(request_)
    assert caught.value.kind is ErrorKind.QUOTA
    assert "Exhausted" not in caught.value.message


def test_the_answer_for_another_job_is_not_taken(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    first, second = submit(request_), submit(request_)
    finish(second)
    mixed = first.model_copy(update={"state": {**first.state, "response_url": second.state["response_url"]}})
    assert failure(mixed).code == "other_job"


def test_only_the_queue_itself_is_asked_with_our_key(
    request_: PrerecordedRequest, vendors: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fal_whisperx.exchange

    def lying(*args: Any, **options: Any) -> Any:
        answer = real(*args, **options)
        evil = dict.fromkeys(("status_url", "response_url", "cancel_url"), "http://169.254.169.254/latest")
        return replace(answer, body={**answer.body, **evil})

    monkeypatch.setattr(fal_whisperx, "exchange", lying)
    ticket = submit(request_)
    own = vendors.urls["FAL_QUEUE_URL"]
    assert all(ticket.state[name].startswith(own) for name in ("status_url", "response_url", "cancel_url"))
    monkeypatch.setattr(fal_whisperx, "exchange", real)
    assert finish(ticket).words


def test_null_ends_are_completed(request_: PrerecordedRequest, vendors: VendorServer, talk: Talk) -> None:
    vendors.faults("fal", {"kind": "null_ends"})
    last = finish(submit(request_)).words[-1]
    assert last.start < last.end <= talk.seconds


def test_some_null_speakers_leave_the_others(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    vendors.faults("fal", {"kind": "null_speakers", "every": 3})
    transcript = finish(submit(request_))
    assert transcript.diarized
    assert None in {word.speaker for word in transcript.words}


def test_cancel_stops_a_job(request_: PrerecordedRequest, vendors: VendorServer) -> None:
    vendors.faults("fal", {"kind": "stuck"})
    ticket = submit(request_)
    FalWhisperX().cancel(ticket)
    assert failure(ticket).kind is ErrorKind.PERMANENT


@pytest.mark.parametrize(
    "payload",
    [None, [], {"text": "hello"}, {"chunks": "x"}, {"chunks": [{"timestamp": [0, 1]}]}, {"chunks": [{"text": []}]}],
)
def test_a_result_without_a_readable_word_is_final(payload: object) -> None:
    """The job is over: asked again it says the same, and another job would be paid for."""
    with pytest.raises(ProviderError) as caught:
        FalWhisperX().transcript(Ticket(vendor="fal_whisperx", id="1", state={"seconds": 3.0}), payload)
    assert (caught.value.kind, caught.value.code) == (ErrorKind.PERMANENT, "unreadable_answer")


def test_what_could_not_be_read_is_counted_and_logged_without_its_text() -> None:
    """149 of 150 words are kept, whatever the other one is."""
    chunks: list[dict[str, Any]] = [
        {"text": f"word{index}", "timestamp": [index * 0.2, index * 0.2 + 0.1], "speaker": None} for index in range(150)
    ]
    chunks[7]["text"], chunks[9]["timestamp"] = None, "then"
    before = _lost("part"), _lost("field")
    with capture_logs() as logs:
        made = FalWhisperX().transcript(
            Ticket(vendor="fal_whisperx", id="1", state={"seconds": 40.0}), {"chunks": chunks}
        )
    assert (len(made.words), made.dropped) == (149, 1)
    assert (_lost("part") - before[0], _lost("field") - before[1]) == (1, 1)
    [entry] = [item for item in logs if item["event"] == "vendor_answer_partly_unreadable"]
    assert (entry["vendor"], entry["parts"], entry["fields"]) == ("fal_whisperx", 1, 1)
    assert "word" not in str({key: value for key, value in entry.items() if key != "event"})


def _lost(what: str) -> float:
    return vendor_answer_losses_total.pending("fal_whisperx", what)
