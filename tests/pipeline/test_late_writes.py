"""A worker that is frozen just before a write, while the memory or the account is erased, restores nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories.models import ErasureReceipt
from memories.pipeline import runner, service, vector_writes
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact, VendorCall
from memories.pipeline.steps import publish
from memories.privacy import account, erasure
from memories.repository import emotions, stored, transcripts
from memories.repository import memories as repository
from memories.shapes import Memory
from memories.user_events import log
from omi.core import providers
from omi.core.errors import ErrorKind, ProviderError
from omi.stores import audio
from omi.stores.documents import documents
from omi.stores.models import AudioObject, LocalDocument
from speakers import decisions
from speakers.models import SpeakerDecision
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, copied

pytestmark = pytest.mark.django_db

WRITES: dict[str, tuple[Any, str]] = {
    "a transcript": (transcripts, "save_transcript"), "the emotions": (emotions, "save_emotions"),
    "a document": (stored, "create"), "a change": (stored, "change"), "audio": (audio, "put"),
    "voices": (decisions, "store"), "the end": (publish, "_tell"),
    "a vector": (vector_writes, "write"),
}  # fmt: skip
ERASURES: dict[str, Callable[[], Any]] = {
    "the memory": lambda: erasure.erase_memory(UID, MEMORY), "the account": lambda: account.delete_account(UID),
}  # fmt: skip


@pytest.fixture
def run(memory: Memory, upload: Any, heard: Any, monkeypatch: pytest.MonkeyPatch) -> PostProcessingRun:
    monkeypatch.setattr("transcription.audio.convert.decode_to_wav", copied)
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), options={"emotional_feedback": True})


def left() -> dict[str, int]:
    """What lies about the memory in each store, whether the memory itself is there or not."""
    found = {
        "documents": LocalDocument.objects.filter(path__contains=MEMORY).count(),
        "vectors": len(providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1")),
        "audio": AudioObject.objects.filter(memory_id=MEMORY, deleted_at=None).count(),
        "voices": SpeakerDecision.objects.filter(memory_id=MEMORY).count(),
        "artifacts": StepArtifact.objects.count(),
        "outputs": sum(bool(step.output or step.checkpoint or step.note) for step in RunStep.objects.all()),
    }
    return {name: count for name, count in found.items() if count}


@pytest.mark.parametrize("erase", list(ERASURES))
@pytest.mark.parametrize("write", list(WRITES))
def test_what_is_written_after_an_erasure_is_refused(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch, write: str, erase: str
) -> None:
    owner, name = WRITES[write]
    real, frozen = getattr(owner, name), []

    def frozen_before(*args: Any, **more: Any) -> Any:
        monkeypatch.setattr(owner, name, real)
        frozen.append(write)
        ERASURES[erase]()
        return real(*args, **more)

    monkeypatch.setattr(owner, name, frozen_before)
    if write == "audio":  # else the upload, which is as it should be, serves as the prepared recording
        monkeypatch.setattr(audio, "for_memory", lambda *args, **more: [])
    runner.work(run.pk)
    assert frozen == [write]
    assert left() == {}
    if erase == "the account":
        assert erasure.verify_user_erased(UID) == {}
        assert log.latest(UID) == 0


def test_a_conversation_whose_account_is_erased_before_its_memory_is_written_makes_none(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import UTC, datetime

    from memories.repository import processing
    from memories.shapes import ProcessingMemory
    from tests.pipeline.conftest import live_segments

    now = datetime.now(UTC)
    processing.create(
        UID, ProcessingMemory(id="p1", created_at=now, timer_start=now.timestamp(), transcript_segments=live_segments())
    )
    run = service.start("capture", UID, MEMORY, actor="test", options={"processing_memory_id": "p1"})
    real = repository.create_memory

    def frozen_before(*args: Any, **more: Any) -> Any:
        account.delete_account(UID)
        return real(*args, **more)

    monkeypatch.setattr(repository, "create_memory", frozen_before)
    assert runner.work(run.pk) == "lease_lost"
    assert erasure.verify_user_erased(UID) == {}
    assert left() == {}


@pytest.mark.parametrize("step", ["transcribe", "structure", "index", "emotions"])
@pytest.mark.parametrize("erase", list(ERASURES))
def test_a_step_that_fails_after_an_erasure_writes_down_nothing_of_what_came_before(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch, step: str, erase: str
) -> None:
    module = runner.load(step)

    def fails(ctx: Any) -> Any:
        ERASURES[erase]()
        raise ProviderError("first", "refused", kind=ErrorKind.PERMANENT, code="422")

    monkeypatch.setattr(module, "run", fails)
    assert runner.work(run.pk) == "lease_lost"
    assert left() == {}


@pytest.mark.parametrize("erase", list(ERASURES))
def test_a_vendor_that_is_away_keeps_no_word_from_being_erased(
    run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch, erase: str
) -> None:
    """Whole transcripts stayed in the steps' results until the vendor of one recording could be reached."""
    fakes.SCRIPT["first"] = ["pending", fakes.words(fakes.TEXT + " then")]
    away = [True]
    forgotten: list[str] = []

    def forget(self: Any, ticket: Any) -> None:
        if away:
            raise fakes.transient()
        forgotten.append(ticket.id)

    monkeypatch.setattr(fakes.FakePrerecorded, "forget", forget)
    runner.work(run.pk)
    PostProcessingRun.objects.update(due_at="2026-01-01T00:00:00Z")
    assert runner.work(run.pk) == "finished"
    job = VendorCall.objects.exclude(reference="").get().reference
    assert StepArtifact.objects.exists()
    ERASURES[erase]()
    assert not StepArtifact.objects.exists()
    assert not any(step.output or step.note or step.input_hash for step in RunStep.objects.all())
    tickets = [ticket for step in RunStep.objects.all() for ticket in step.checkpoint.pop("tickets", [])]
    assert [ticket["id"] for ticket in tickets] == [job]
    assert documents().get(f"users/{UID}/memories/{MEMORY}") is None
    assert list(ErasureReceipt.objects.get().failed) == ["runs"]
    away.clear()
    assert erasure.finish_pending() == 1
    assert forgotten == [job]
    assert left() == {}
    assert not VendorCall.objects.exclude(reference="").exists()
