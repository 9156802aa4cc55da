"""``/v1/memories/{id}/post-processing``: what is taken, what is refused, and that a refusal harms nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.repository import memories as repository
from memories.repository import processing
from memories.shapes import Memory, ProcessingMemory
from omi.stores import audio
from tests.api.conftest import Caller
from tests.support import sound
from tests.support.sound import tone

Make = Callable[..., Memory]


def url(memory: Memory, rest: str = "") -> str:
    return f"/v1/memories/{memory.id}/post-processing{rest}"


def test_it_answers_at_once_with_the_memory_in_progress(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    answer = alice.upload(url(memory, "?emotional_feedback=true"), tone(11))
    assert answer.status_code == 200
    assert answer.json()["id"] == memory.id
    assert answer.json()["postprocessing"]["status"] == "in_progress"
    run = PostProcessingRun.objects.get(memory_id=memory.id)
    assert (run.kind, run.options) == ("postprocess", {"emotional_feedback": True})
    assert alice.get(f"/v1/memories/{memory.id}").json()["emotional_feedback"] is True
    [kept] = audio.for_memory("alice", memory.id, "upload")
    assert (run.audio, kept.delete_after is not None) == (kept.name, True)


def test_get_tells_state_step_percent_and_attempts(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    assert alice.get(url(memory)).status_code == 404
    alice.upload(url(memory), tone(11))
    body = alice.get(url(memory)).json()
    for name in (
        "state",
        "step",
        "percent",
        "eta_seconds",
        "attempts",
        "outcome",
        "message",
        "retryable",
        "retry_after",
    ):
        assert name in body
    assert body["state"] == "queued"
    assert body["steps"][0]["name"] == "prepare_audio"


def test_the_same_recording_again_is_the_same_run_and_one_copy(alice: Caller, make_memory: Make) -> None:
    """A fault of the original: two uploads both ran."""
    memory = make_memory()
    for _ in range(3):
        assert alice.upload(url(memory), tone(11)).status_code == 200
    assert PostProcessingRun.objects.filter(memory_id=memory.id).count() == 1
    assert len(audio.for_memory("alice", memory.id, "upload")) == 1


def test_another_recording_waits_in_line(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    alice.upload(url(memory), tone(11))
    assert alice.upload(url(memory), tone(12)).status_code == 200
    assert list(
        PostProcessingRun.objects.filter(memory_id=memory.id).order_by("id").values_list("blocked", flat=True)
    ) == [
        False,
        True,
    ]


def test_an_idempotency_key_belongs_to_one_recording(alice: Caller, bob: Caller, make_memory: Make) -> None:
    memory, his = make_memory(), make_memory("bob")
    first = alice.upload(url(memory), tone(11), Idempotency_Key="k")
    again = alice.upload(url(memory), tone(11), Idempotency_Key="k")
    other = alice.upload(url(memory), tone(12), Idempotency_Key="k")
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 409)
    assert PostProcessingRun.objects.filter(memory_id=memory.id).count() == 1
    assert len(audio.for_memory("alice", memory.id, "upload")) == 1
    assert bob.upload(url(his), tone(12), Idempotency_Key="k").status_code == 200


def empty_wav() -> bytes:
    return sound.wav(b"")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (empty_wav(), "empty"),
        (tone(3), "too_short"),
        (b"This is a letter, not a recording. " * 100, "not_audio"),
        (b"RIFF" + b"\x00" * 4000, None),
        (b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/secret.ts\n", "not_audio"),
    ],
    ids=["no bytes", "no samples", "3 s", "text", "broken wav", "playlist"],
)
def test_what_is_no_recording_is_400_with_the_reason_and_can_be_tried_again(
    alice: Caller, make_memory: Make, content: bytes, code: str | None
) -> None:
    """A fault of the original: 500 for bad input, and every fault was final."""
    memory = make_memory()
    before = repository.get_memory("alice", memory.id)
    answer = alice.upload(url(memory), content)
    assert answer.status_code == 400, answer.content
    assert isinstance(answer.json()["detail"], str)
    if code:
        assert answer.json()["code"] == code
    assert repository.get_memory("alice", memory.id) == before
    assert not PostProcessingRun.objects.filter(memory_id=memory.id).exists()
    assert audio.for_memory("alice", memory.id) == []
    assert alice.upload(url(memory), tone(11)).json()["postprocessing"]["status"] == "in_progress"


def test_a_request_without_a_file_is_422(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    answer = alice.client.post(url(memory), {"note": "hi"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "file"])
    assert alice.send("POST", url(memory), {"file": "x"}).status_code == 415


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=", b"--x\r\n"),
        ("Multipart/Form-Data; boundary=\xc3\xa9", b"--x\r\n"),
    ],
    ids=["no boundary", "empty boundary", "odd boundary"],
)
def test_a_form_that_cannot_be_read_is_told_as_a_form(
    alice: Caller, make_memory: Make, content_type: str, body: bytes
) -> None:
    """It was told as broken JSON, which nobody had sent."""
    memory = make_memory()
    answer = alice.client.generic("POST", url(memory), body, content_type=content_type)
    [error] = answer.json()["detail"]
    assert (answer.status_code, error["type"], error["loc"]) == (422, "multipart_invalid", ["body"])
    assert "form could not be read" in error["msg"]
    assert not PostProcessingRun.objects.filter(memory_id=memory.id).exists()


def test_a_form_cut_off_in_the_file_is_refused_and_keeps_nothing(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    answer = alice.client.generic("POST", url(memory), head[:40], content_type="multipart/form-data; boundary=x")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["type"] in ("multipart_invalid", "missing")
    assert audio.for_memory("alice", memory.id) == []


@pytest.mark.parametrize("declared", [True, False])
def test_too_large_is_413_and_reading_stops(
    alice: Caller, make_memory: Make, settings: Any, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    """A fault of the original: there was no size limit."""
    from memories.api import uploads

    memory = make_memory()
    settings.OMI_MAX_UPLOAD_BYTES = 100_000
    read: list[int] = []
    if not declared:
        monkeypatch.setattr(uploads, "_FRAMING", 10**9)
    original = uploads.LimitedUploadHandler.receive_data_chunk

    def counted(self: Any, raw_data: bytes, start: int) -> None:
        read.append(len(raw_data))
        original(self, raw_data, start)

    monkeypatch.setattr(uploads.LimitedUploadHandler, "receive_data_chunk", counted)
    answer = alice.upload(url(memory), tone(30))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert sum(read) <= (200_000 if not declared else 0)
    assert audio.for_memory("alice", memory.id) == []


def test_the_clients_file_name_never_names_a_file(alice: Caller, make_memory: Make) -> None:
    """A fault of the original: the name was used in a path."""
    memory = make_memory()
    assert alice.upload(url(memory), tone(11), name="../../../etc/cron.d/x.wav").status_code == 200
    [kept] = audio.for_memory("alice", memory.id)
    assert "/" not in kept.name
    assert "cron" not in kept.name


def test_a_discarded_memory_is_400(alice: Caller, make_memory: Make) -> None:
    answer = alice.upload(url(make_memory(discarded=True)), tone(11))
    assert (answer.status_code, answer.json()) == (400, {"detail": "Memory is discarded"})


def test_one_whose_conversation_goes_on_may_be_asked_for_again_soon(alice: Caller, make_memory: Make) -> None:
    """Its beginning alone was too little to keep; what was said since is being made of it."""
    memory = make_memory(discarded=True)
    service.start("reprocess", "alice", memory.id, actor="test")
    answer = alice.upload(url(memory), tone(11))
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (409, "under_way", "5")


@pytest.mark.parametrize(("ended", "status"), [(None, 409), ("finish", 400)])
def test_one_whose_conversation_may_go_on_is_refused_for_now_only(
    alice: Caller, make_memory: Make, ended: str | None, status: int
) -> None:
    """The host that heard its end may be cut off."""
    now = timezone.now()
    conversation = ProcessingMemory(
        id="p1", created_at=now, timer_start=now.timestamp() - 10, last_audio=5.0, ended=ended, session_ids=["s1"]
    )
    processing.create("alice", conversation)
    memory = make_memory(discarded=True, processing_memory_id="p1")
    assert alice.upload(url(memory), tone(11)).status_code == status


def test_cancel_and_retry(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    alice.upload(url(memory), tone(11))
    assert alice.send("POST", url(memory, "/retry")).status_code == 409  # it has not ended
    body = alice.send("POST", url(memory, "/cancel")).json()
    assert (body["state"], body["outcome"], body["retryable"]) == ("finished", "canceled", True)
    assert alice.get(f"/v1/memories/{memory.id}").json()["postprocessing"]["status"] == "canceled"
    retried = alice.send("POST", url(memory, "/retry"))
    assert (retried.status_code, retried.json()["state"]) == (200, "queued")
    assert PostProcessingRun.objects.filter(memory_id=memory.id).count() == 2


def test_retries_are_bounded(alice: Caller, make_memory: Make, settings: Any) -> None:
    settings.OMI_RETRIES_PER_DAY = 1
    memory = make_memory()
    alice.upload(url(memory), tone(11))
    for _ in range(2):
        alice.send("POST", url(memory, "/cancel"))
        answer = alice.send("POST", url(memory, "/retry"))
    assert (answer.status_code, "too often" in answer.json()["detail"]) == (429, True)
    assert 86000 < int(answer.headers["Retry-After"]) <= 86400


def test_retry_from_an_unknown_step_is_422(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    alice.upload(url(memory), tone(11))
    alice.send("POST", url(memory, "/cancel"))
    assert alice.send("POST", url(memory, "/retry?from_step=nowhere")).status_code == 422


def test_a_store_that_fails_takes_nothing(alice: Caller, make_memory: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from omi.core.errors import ErrorKind, ProviderError

    memory = make_memory()

    def down(*args: Any, **kwargs: Any) -> None:
        raise ProviderError("documents", "the store is out of reach", kind=ErrorKind.TRANSIENT, retry_after=7)

    with monkeypatch.context() as patched:
        patched.setattr("memories.pipeline.engine.notifications.mark", down)
        answer = alice.upload(url(memory), tone(11))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "7")
    assert not PostProcessingRun.objects.filter(memory_id=memory.id).exists()
    assert audio.for_memory("alice", memory.id) == []
