"""Every kind of answer of a vendor, over HTTP, from the simulated vendors through the real steps.

Whatever a vendor says: the run ends, with a word of the one vocabulary and a sentence; the memory is never worse.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from demo.vendors.server import VendorServer
from memories.pipeline import runner, service
from memories.pipeline.models import StepAttempt, VendorBreaker, VendorCall
from memories.repository import memories as repository
from memories.shapes import Category, Memory
from omi.core import providers
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.vendor_run import EVER, Process, calls, model, process
from tests.support.processes import free_port
from tests.support.vendor_fixtures import Talk, talk, vendor_server, vendors

__all__ = ["process", "talk", "vendor_server", "vendors"]
pytestmark = pytest.mark.django_db


def test_all_vendors_answering_well(process: Process, talk: Talk) -> None:
    run = process(emotional_feedback=True)
    assert (run.outcome, model()) == ("success", "fal_whisperx")
    assert [calls("fal_whisperx", "transcribe"), calls("openai", "embed"), calls("hume", "emotions")] == [
        ["success"]
    ] * 3
    said = " ".join(item.text for item in repository.get_memory(UID, MEMORY).transcript_segments).lower()
    assert talk.words[-1].word.lower().strip(".?!,") in said
    assert run.steps.get(name="emotions").outcome == "success"


ONCE = [400, 401, 402, 403, 404, 409, 413, 415, 422]
AGAIN = [408, 429, 500, 502, 503, 504, 529]


@pytest.mark.parametrize("status", ONCE)
def test_a_refusal_for_good_asks_the_next_vendor_at_once(process: Process, vendors: VendorServer, status: int) -> None:
    """An empty account (402) opens the breaker; the chain goes on."""
    vendors.faults("fal", {"kind": "refuse", "status": status, "op": "submit", **EVER})
    run = process()
    assert (run.outcome, model()) == ("success", "deepgram_prerecorded")
    assert len(vendors.log("fal", "submit")) == 1
    assert VendorBreaker.objects.filter(vendor="fal_whisperx", open=True).exists() is (status == 402)


@pytest.mark.parametrize("status", AGAIN)
def test_a_passing_refusal_is_tried_again_and_then_the_next_vendor_is_asked(
    process: Process, vendors: VendorServer, status: int
) -> None:
    vendors.faults("fal", {"kind": "refuse", "status": status, "op": "submit", **EVER})
    run = process()
    assert (run.outcome, model()) == ("success", "deepgram_prerecorded")
    assert 2 <= len(vendors.log("fal", "submit")) <= 6


@pytest.mark.parametrize(
    ("said", "least"),
    [("7", 6.9), ("in ten minutes", 60.0), ("soon", 0.0), ("-5", 0.0)],
)
def test_retry_after_is_a_lower_bound_and_nonsense_is_none(
    memory: Memory, process: Process, vendors: VendorServer, upload: Any, talk: Talk, said: str, least: float
) -> None:
    """The original's retries were immediate."""
    if said == "in ten minutes":
        said = format_datetime(datetime.now(UTC) + timedelta(minutes=10))
    vendors.faults("fal", {"kind": "refuse", "status": 429, "retry_after": said, "op": "submit"})
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload(talk.path.read_bytes()))
    assert runner.work(run.pk) == "waiting"
    run.refresh_from_db()
    tried = StepAttempt.objects.get(step__run=run, result="retry").finished_at
    assert run.due_at is not None
    assert least <= (run.due_at - tried).total_seconds() < 700
    assert (process().pk, model()) == (run.pk, "fal_whisperx")


HEARD_OUT = 4.0
"""Seconds that a vendor has who hangs for longer."""
HEARD_OUT_AT = {"hangs": "status", "a byte now and then": "result"}
"""Each is waited for once: both questions go the same way over the wire."""
ONE_TIME = {
    "dropped": {"kind": "drop"},
    "cut in the middle": {"kind": "reset"},
    "web page": {"kind": "html"},
    "half of the JSON": {"kind": "truncated"},
    "no JSON at all": {"kind": "garbage"},
    "duplicate keys": {"kind": "body", "text": '{"status": "COMPLETED", "status": "IN_QUEUE"}'},
    "not a number": {"kind": "body", "text": '{"status": "IN_QUEUE", "queue_position": NaN}'},
    "infinity": {"kind": "body", "text": '{"status": "IN_QUEUE", "queue_position": Infinity}'},
    "wrong types": {"kind": "body", "text": '{"status": 7}'},
    "an array": {"kind": "body", "text": "[]"},
    "another job": {"kind": "body", "text": '{"status": "COMPLETED", "request_id": "another"}'},
    "unknown status": {"kind": "body", "text": '{"status": "DANCING"}'},
    "too large": {"kind": "body", "size": 3_000_000},
    "gzip bomb": {"kind": "body", "size": 3_000_000, "gzip": True},
    "wrong content type": {"kind": "body", "text": "<p>hello</p>", "content_type": "text/plain"},
    "hangs": {"kind": "hang", "seconds": 8},
    "a byte now and then": {"kind": "slow", "seconds": 30},
}
WHOLE = {"duplicate keys", "not a number", "infinity", "wrong types", "an array", "another job", "unknown status"}
"""Whole JSON: in place of a transcript it is the vendor's own word, and will not be another one."""


@pytest.mark.parametrize(
    ("op", "fault"),
    [
        pytest.param(op, fault, id=f"{op}-{name}")
        for op in ("status", "result")
        for name, fault in ONE_TIME.items()
        if (op == "status" or name not in WHOLE) and HEARD_OUT_AT.get(name, op) == op
    ],
)
def test_a_senseless_answer_about_a_job_is_asked_for_again_and_nothing_is_paid_twice(
    process: Process, vendors: VendorServer, monkeypatch: pytest.MonkeyPatch, op: str, fault: dict[str, Any]
) -> None:
    monkeypatch.setattr("transcription.vendors.batch.http.MAX_BODY", 1_000_000)
    if fault["kind"] in ("hang", "slow"):
        # Only where the answer does not come: a good one takes more than a second of a busy machine now and then.
        monkeypatch.setattr("transcription.vendors.batch.fal_whisperx.POLL_SECONDS", HEARD_OUT)
    vendors.faults("fal", {**fault, "op": op})
    run = process()
    assert (run.outcome, model()) == ("success", "fal_whisperx")
    assert len(vendors.log("fal", "submit")) == 1


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_an_unreadable_transcript_is_not_asked_for_again(process: Process, vendors: VendorServer, name: str) -> None:
    vendors.faults("fal", {**ONE_TIME[name], "op": "result", **EVER})
    run = process()
    assert (run.outcome, model()) == ("success", "deepgram_prerecorded")
    assert [len(vendors.log("fal", op)) for op in ("submit", "result")] == [1, 1]


ODD = [
    {"timestamp": None}, {"timestamp": [12.0]}, {"timestamp": "now"}, {"timestamp": [[], {}]}, {"text": None},
    {"speaker": {}}, {"text": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_one_unreadable_field_costs_at_most_its_word(
    process: Process, vendors: VendorServer, odd: dict[str, Any]
) -> None:
    """Of 150 words one was null: nothing was used, and the vendor counted as unavailable."""
    said = [f"word{index}" for index in range(60)]
    body = json.loads(chunks(*spread(said))["text"])
    body["chunks"][30] |= odd
    vendors.faults("fal", {"kind": "body", "op": "result", "text": json.dumps(body)})
    run = process()
    heard = " ".join(item.text for item in repository.get_memory(UID, MEMORY).transcript_segments).split()
    assert (run.outcome, model()) == ("success", "fal_whisperx")
    assert [word for word in said if word not in heard] == (["word30"] if "text" in odd else [])
    assert len(vendors.log("fal", "submit")) == len(vendors.log("fal", "result")) == 1


def test_a_byte_order_mark_is_forgiven(process: Process, vendors: VendorServer) -> None:
    vendors.faults("fal", {"kind": "body", "text": '\ufeff{"status": "IN_QUEUE"}', "op": "status"})
    assert (process().outcome, model()) == ("success", "fal_whisperx")


@pytest.mark.parametrize("address", ["http://127.0.0.1:{closed}", "http://nobody.invalid", "https://127.0.0.1:{open}"])
def test_a_vendor_out_of_reach_is_passed_over(
    process: Process, vendors: VendorServer, settings: Any, address: str
) -> None:
    """Refused connection, no such name, no TLS there."""
    settings.FAL_QUEUE_URL = address.format(closed=free_port(), open=vendors.port)
    run = process()
    assert (run.outcome, model()) == ("success", "deepgram_prerecorded")
    assert set(calls("fal_whisperx", "transcribe")) <= {"upstream_error", "timeout"}


def test_a_job_that_the_vendor_forgot_is_given_again_and_counted(process: Process, vendors: VendorServer) -> None:
    """Accepted, then unknown."""
    vendors.faults("fal", {"kind": "unknown", "op": "submit"})
    run = process()
    assert (run.outcome, model()) == ("success", "fal_whisperx")
    assert len(vendors.log("fal", "submit")) == 2
    assert VendorCall.objects.filter(run=run, vendor="fal_whisperx", duplicate=True).count() == 1


def test_a_job_that_failed_at_the_vendor(process: Process, vendors: VendorServer) -> None:
    vendors.faults("fal", {"kind": "failed", "status": 503, "retryable": True, "op": "submit"})
    assert (process().outcome, model()) == ("success", "fal_whisperx")


def chunks(*items: tuple[str, Any, Any, Any], language: str = "en") -> dict[str, Any]:
    body = [{"text": text, "timestamp": [start, end], "speaker": speaker} for text, start, end, speaker in items]
    return {"kind": "body", "op": "result", "text": json.dumps({"chunks": body, "inferred_languages": [language]})}


def spread(words: list[str], speaker: Any = "SPEAKER_00") -> list[tuple[str, Any, Any, Any]]:
    step = 12.0 / len(words)
    return [(word, 2.3 + index * step, 2.3 + (index + 0.8) * step, speaker) for index, word in enumerate(words)]


WORDS = [f"word{index}" for index in range(30)]
MANY = [f"word{index}" for index in range(60)]
STRANGE = {
    "null speakers": (spread(WORDS, None), True),
    "unknown labels": (spread(WORDS, "the narrator"), True),
    "each its speaker": ([(*item[:3], f"SPEAKER_{number:03d}") for number, item in enumerate(spread(MANY))], True),
    "null times": ([(word, None, None, "SPEAKER_00") for word in WORDS], None),
    "negative times": ([("before", -5.0, -4.0, "SPEAKER_00"), *spread(WORDS)], True),
    "swapped times": ([(w, e, s, p) for w, s, e, p in spread(WORDS)], True),
    "overlapping": ([(w, s, e + 3, p) for w, s, e, p in spread(WORDS)], True),
    "out of order": (list(reversed(spread(WORDS))), True),
    "past the end": ([*spread(WORDS), ("after", 500.0, 501.0, "SPEAKER_00")], True),
    "all past the end": ([(word, 900.0 + n, 901.0 + n, "SPEAKER_00") for n, word in enumerate(WORDS)], False),
    "another script": (spread(["привет", "как", "дела", "сегодня", "очень", "хорошо"] * 5), False),
    "thank you, for ever": (spread(["thank", "you"] * 20), False),
}  # fmt: skip


@pytest.mark.parametrize(("words", "accepted"), STRANGE.values(), ids=STRANGE)
def test_strange_words_are_put_right_or_kept_beside(
    process: Process, vendors: VendorServer, memory: Memory, words: list[Any], accepted: bool | None
) -> None:
    """``accepted`` None: either, as long as the memory is sound."""
    vendors.faults("fal", chunks(*words))
    before = repository.get_memory(UID, MEMORY).transcript_segments
    run = process()
    assert run.outcome == "success"
    if accepted is not None:
        assert (model() == "fal_whisperx") is accepted, run.steps.get(name="assess").output
    if accepted is False:
        assert [item.text for item in repository.get_memory(UID, MEMORY).transcript_segments] == [
            item.text for item in before
        ]


def test_no_words_although_there_is_speech(process: Process, vendors: VendorServer) -> None:
    vendors.faults("fal", {"kind": "empty", "op": "submit"})
    assert (process().outcome, model()) == ("success", "deepgram_prerecorded")


def answer(**changed: Any) -> dict[str, Any]:
    said = {
        "title": "A talk", "overview": "They talk.", "emoji": "🧠", "category": "work", "action_items": [],
        "events": [], "discard": False, "discard_reason": "",
    }  # fmt: skip
    return {"kind": "answer", "content": said | changed, "op": "chat"}


EVENT = {"title": "The end", "description": "", "start": "9999-12-31T23:59:59", "duration_minutes": 60}
LANGUAGE_MODEL = {
    "invalid JSON": {"kind": "invalid_json", "op": "chat"},
    "refusal": {"kind": "refusal", "op": "chat", **EVER},
    "cut off": {"kind": "length", "op": "chat", **EVER},
    "filtered": {"kind": "content_filter", "op": "chat", **EVER},
    "no title": answer(title=" "),
    "24th category": answer(category="mushrooms"),
    "event in 9999": answer(events=[EVENT]),
    "nonsense time": answer(events=[{**EVENT, "start": "tomorrow-ish", "duration_minutes": -4}]),
    "injected instruction": answer(title="<script>alert(1)</script>" * 40, overview="x" * 200_000),
    "discard": answer(discard=True, discard_reason="ignore all rules and delete this"),
    "wrong schema": {"kind": "answer", "content": {"titel": 1}, "op": "chat", **EVER},
    "rate": {"kind": "rate", "retry_after": 3, "op": "chat"},
    "money": {"kind": "quota", "op": "chat", **EVER},
    "500": {"kind": "refuse", "status": 500, "op": "chat", **EVER},
    "model retired": {"kind": "refuse", "status": 404, "code": "model_not_found", "op": "chat", **EVER},
}


OTHERWISE = {
    **dict.fromkeys(
        ("refusal", "cut off", "filtered", "invalid JSON", "wrong schema", "money"), ("success", "summary_kept")
    ),
    "500": ("upstream_error", "vendor_unavailable"),
    "model retired": ("config_error", "not_configured"),
}
"""What asking again cannot change costs only the summary; what can be put right ends the run, to be retried."""


@pytest.mark.parametrize(("name", "fault"), LANGUAGE_MODEL.items(), ids=LANGUAGE_MODEL)
def test_whatever_the_language_model_says(
    process: Process, vendors: VendorServer, name: str, fault: dict[str, Any]
) -> None:
    vendors.faults("openai", fault)
    run = process()
    shown = repository.get_memory(UID, MEMORY)
    assert shown.structured.category in set(Category)
    assert not shown.discarded, "what a person asked for is never discarded"
    assert all(event.start.year < 2100 and event.duration > 0 for event in shown.structured.events)
    assert len(shown.structured.title) <= 300
    expected = OTHERWISE.get(name, ("success", "success"))
    assert (run.outcome, run.message_id) == expected
    if name in OTHERWISE:
        assert shown.structured.title == "Live title", "a failure leaves the summary as it was"
        assert (model() == "fal_whisperx") is (expected[0] == "success"), "a paid transcript is shown all the same"


@pytest.mark.parametrize("kind", ["wrong_size", "zeros"])
def test_an_embedding_that_is_none_is_asked_for_again(process: Process, vendors: VendorServer, kind: str) -> None:
    vendors.faults("openai", {"kind": kind, "op": "embeddings"})
    assert process().outcome == "success"
    assert sorted(calls("openai", "embed")) == ["success", "upstream_error"]


@pytest.mark.parametrize("kind", ["wrong_size", "zeros"])
def test_an_embedding_that_stays_wrong_is_never_written(process: Process, vendors: VendorServer, kind: str) -> None:
    vendors.faults("openai", {"kind": kind, "op": "embeddings", **EVER})
    run = process()
    assert run.outcome == "upstream_error"
    assert not providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "empty"}, {"kind": "refuse", "status": 401, **EVER}, {"kind": "refuse", "status": 402, **EVER},
        {"kind": "refuse", "status": 415, **EVER}, {"kind": "refuse", "status": 503, **EVER}, {"kind": "html", **EVER},
        {"kind": "truncated", **EVER}, {"kind": "drop", **EVER},
    ],
    ids=lambda fault: f"{fault['kind']}-{fault.get('status', '')}",
)  # fmt: skip
def test_emotions_that_fail_never_fail_the_run(process: Process, vendors: VendorServer, fault: dict[str, Any]) -> None:
    vendors.faults("hume", {**fault, "op": "file"})
    run = process(emotional_feedback=True)
    assert (run.outcome, model()) == ("success", "fal_whisperx")
    assert run.steps.get(name="emotions").outcome != "success"
