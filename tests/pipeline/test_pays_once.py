"""What was paid for is not paid for again: across runs, across parts of one request, across a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun, RunStep, VendorCall
from memories.shapes import Memory, Structured
from omi import providers
from omi.errors import Outcome
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def vector() -> list[float]:
    return list(providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1")[f"{UID}-{MEMORY}"].values)


def test_the_same_text_is_embedded_once_whichever_run_asks(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    same = Structured(title="The table on Friday", overview="They book a table.")
    fakes.SCRIPT["structurer"] = [same, same, same.model_copy(update={"overview": "They book two tables."})]
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    first = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    providers.one("vectors").delete([f"{UID}-{MEMORY}"], namespace="ns1")
    second = drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert fakes.count("structurer", "structure") == 2, "who asks for another title gets one"
    assert fakes.count("embedder", "embed") == 1
    assert RunStep.objects.get(run=second, name="index").reused_from == first.steps.get(name="index")
    assert any(vector()), "the kept vector is written again"
    assert not VendorCall.objects.filter(operation="embed", doubled=True).exists()
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert fakes.count("embedder", "embed") == 2, "another text has another vector"
    assert not VendorCall.objects.filter(operation="embed", doubled=True).exists()


def test_another_embedding_model_makes_another_vector(
    memory: Memory, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = Structured(title="The table on Friday", overview="They book a table.")
    fakes.SCRIPT["structurer"] = [same, same]
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    monkeypatch.setattr(fakes.FakeEmbedder, "model_name", "another-model")
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert fakes.count("embedder", "embed") == 2


def failed_after_transcription(upload: Any, drive: Drive) -> PostProcessingRun:
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["structurer"] = [fakes.permanent("structurer", Outcome.CONFIG_ERROR)]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert not run.succeeded
    return run


def test_the_same_recording_uploaded_again_after_a_failure_is_not_transcribed_again(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """The app knows no retry: it uploads again. omi-protocol 4.3 no. 56: the paid transcript was thrown away."""
    failed = failed_after_transcription(upload, drive)
    again = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert (again.pk != failed.pk, again.follows, again.outcome) == (True, None, "success")
    assert fakes.count("first", "submit") == 1
    assert VendorCall.objects.filter(operation="transcribe").count() == 1
    reused = again.steps.exclude(reused_from=None).values_list("name", flat=True)
    assert list(reused) == ["prepare_audio", "transcribe", "assess"]


def test_prepared_audio_that_was_deleted_is_prepared_again_from_the_new_upload(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    failed = failed_after_transcription(upload, drive)
    for kept in audio.for_memory(UID, MEMORY):
        audio.delete(kept)
    again = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    assert again.outcome == "success"
    assert again.steps.get(name="prepare_audio").reused_from is None
    assert again.steps.get(name="transcribe").reused_from == failed.steps.get(name="transcribe")
    assert fakes.count("first", "submit") == 1


def test_another_recording_takes_over_nothing(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    failed_after_transcription(upload, drive)
    drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=2)))
    assert fakes.count("first", "submit") == 2
