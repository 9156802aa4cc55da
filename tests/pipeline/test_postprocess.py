"""A recording is uploaded: what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories.pipeline import service, status
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory
from memories.user_events import log
from omi.core import providers
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def start(upload: Callable[..., Any], **more: Any) -> PostProcessingRun:
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), **more)


def test_a_better_transcript_is_shown_and_both_are_kept(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    run = drive(start(upload))
    assert (run.outcome, run.message_id, run.notified) == ("success", "success", True)
    shown = repository.get_memory(UID, MEMORY)
    assert shown.active_transcript == "first_model"
    assert shown.transcript_segments[0].text == fakes.TEXT
    assert shown.structured.title == "Live title"  # the words did not change, so nobody was asked for another title
    assert shown.postprocessing is not None
    assert shown.postprocessing.status == "completed"
    assert shown.postprocessing.run_id == str(run.pk)
    assert set(transcripts.list_transcripts(UID, MEMORY)) >= {"deepgram_streaming", "first_model"}
    told = [item for item in log.after(UID, 0) if item["type"] == "memory_post_processing_success"]
    assert [item["memory_id"] for item in told] == [MEMORY]


def test_new_words_get_a_new_structure_and_a_vector(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT.replace("anna", "hannah") + " please")]
    drive(start(upload))
    shown = repository.get_memory(UID, MEMORY)
    assert shown.structured.title == "About 1 segments"
    stored = providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1")
    assert stored[f"{UID}-{MEMORY}"].metadata["memory_id"] == MEMORY


def test_every_vendor_call_is_in_the_ledger_once(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    fakes.SCRIPT["first"] = ["pending", "pending", fakes.words(fakes.TEXT + " now")]
    run = drive(start(upload, options={"emotional_feedback": True}))
    calls = list(VendorCall.objects.filter(run=run).values_list("vendor", "operation", "outcome", "duplicate"))
    assert calls == [
        ("first", "transcribe", "success", False),
        ("structurer", "structure", "success", False),
        ("embedder", "embed", "success", False),
        ("emotions", "emotions", "success", False),
    ]
    assert fakes.count("first", "submit") == 1
    assert fakes.count("first", "poll") == 2


def test_the_status_says_where_it_is_and_what_to_do(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    run = start(upload)
    told = status.document(run)
    assert (told["state"], told["step"], told["percent"], told["outcome"]) == ("queued", "prepare_audio", 0, None)
    fakes.SCRIPT["first"] = [fakes.quota()]
    told = status.document(drive(run))
    assert told["outcome"] == "quota"
    assert told["message"]["fault"] == "configuration"
    assert told["retryable"] is True
    assert 850 < told["retry_after"] <= 900, "as long as its breaker is open a retry would end the same way"
    assert [step["name"] for step in told["steps"] if step["state"] == "failed"] == ["transcribe"]


def test_the_app_is_told_each_change_once_and_in_order(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """Begun, waiting for the vendor, another try of the language model, done: by the log that socket and SSE read."""
    fakes.SCRIPT["first"] = ["pending", "pending", fakes.words(fakes.TEXT + " now")]
    fakes.SCRIPT["structurer"] = [fakes.transient("structurer"), fakes.transient("structurer")]
    run = drive(start(upload))
    told = [(item["type"].removeprefix("memory_post_processing_"), item.get("step")) for item in log.after(UID, 0)]
    assert told == [("started", None), ("waiting", "transcribe"), ("waiting", "structure"), ("success", None)]
    assert {item["run_id"] for item in log.after(UID, 0)} == {run.pk}


def test_a_canceled_run_is_told_as_one(memory: Memory, upload: Any, heard: Any) -> None:
    run = start(upload)
    service.cancel(run, actor="user")
    [event] = log.after(UID, 0)
    assert (event["type"], event["outcome"]) == ("memory_post_processing_failed", "canceled")
