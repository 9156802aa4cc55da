"""What comes in between: a cancel after the document, a withdrawn consent, a worker that dies with a job out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import failure_catalogue, recovery, runner, service
from memories.pipeline.engine import lease
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.steps import publish_side_effects
from memories.privacy import account
from memories.repository import memories as repository
from memories.shapes import Memory
from memories.user_events import log
from omi.core import providers
from omi.core.errors import ErrorKind, ProviderError
from omi.core.vendor_errors import broken_answer, from_status, unreachable
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(memory: Memory, upload: Any, heard: Any) -> PostProcessingRun:
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    return service.start("postprocess", UID, MEMORY, actor="t", audio=upload(), options={"emotional_feedback": True})


def fresh(run: PostProcessingRun) -> PostProcessingRun:
    return PostProcessingRun.objects.get(pk=run.pk)


@pytest.mark.parametrize("where", ["consent", "vector", "emotions", "push"])
def test_after_the_document_is_written_it_is_too_late_to_cancel(
    run: PostProcessingRun, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(publish_side_effects, where)

    def canceled(ctx: Any, *more: Any) -> Any:
        service.cancel(fresh(run), actor="user")
        return real(ctx, *more)

    monkeypatch.setattr(publish_side_effects, where, canceled)
    assert runner.work(run.pk) == "finished"
    memory = repository.get_memory(UID, MEMORY)
    assert (fresh(run).outcome, memory.postprocessing and memory.postprocessing.status) == ("success", "completed")
    assert memory.active_transcript == "first_model"
    assert providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1")
    ends = [event["type"] for event in log.after(UID, 0) if event["type"].endswith(("success", "failed"))]
    assert ends == ["memory_post_processing_success"]


@pytest.mark.parametrize("before", [True, False], ids=["before the recording is kept", "after it"])
def test_a_consent_that_is_withdrawn_meanwhile_keeps_no_recording(
    run: PostProcessingRun, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.set_recording_permission(UID, True)
    real = audio.put

    def put(uid: str, purpose: str, *rest: Any, **more: Any) -> Any:
        if purpose != "recording":
            return real(uid, purpose, *rest, **more)
        if before:
            account.set_recording_permission(UID, False)
        kept = real(uid, purpose, *rest, **more)
        if not before:
            account.set_recording_permission(UID, False)
        return kept

    monkeypatch.setattr(audio, "put", put)
    assert runner.work(run.pk) == "finished"
    assert fresh(run).outcome == "success"
    assert {item.purpose for item in audio.for_memory(UID, MEMORY)} == {"upload"}
    assert repository.get_memory(UID, MEMORY).recording is None


@pytest.mark.parametrize("end", ["canceled", "dead letter", "just then"])
def test_no_job_is_left_at_the_vendor_when_the_worker_dies(memory: Memory, upload: Any, heard: Any, end: str) -> None:
    fakes.SCRIPT["first"] = ["pending"]
    run = service.start("postprocess", UID, MEMORY, actor="t", audio=upload())
    assert runner.work(run.pk) == "waiting"
    past = timezone.now() - timedelta(seconds=10)
    if end == "just then":  # between the end that it wrote and what it would have told the vendor
        done = {"state": "finished", "outcome": "canceled", "message_id": "canceled", "due_at": None}
        PostProcessingRun.objects.filter(pk=run.pk).update(**done, finished_at=past)
    else:
        PostProcessingRun.objects.filter(pk=run.pk).update(due_at=past)
        assert lease.claim(fresh(run), owner="dies") is not None
        more = {"claims": 99} if end == "dead letter" else {"cancel_requested": True}
        PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=past, **more)
    assert fakes.count("first", "cancel") == 0
    recovery.reconcile()
    assert (fresh(run).state, fresh(run).notified) == ("finished", True)
    assert fakes.count("first", "cancel") == 1


REFUSED = type("ConnectError", (Exception,), {})()
ERRORS = {
    "it did not answer in time": (unreachable("structurer", timed_out=True), True),
    "the connection broke": (unreachable("structurer", timed_out=False), True),
    "it answered nonsense": (broken_answer("structurer", "nonsense"), True),
    "a gateway did not wait": (from_status("structurer", 504), True),
    "nobody was there": (unreachable("structurer", timed_out=False, cause=REFUSED), False),
    "too many requests": (from_status("structurer", 429), False),
    "unavailable": (from_status("structurer", 503), False),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_what_a_vendor_may_have_done_counts_as_doubled_when_it_is_asked_again(memory: Memory, name: str) -> None:
    error, taken = ERRORS[name]
    assert error.kind is ErrorKind.TRANSIENT
    fakes.SCRIPT["structurer"] = [error]
    run = service.start("reprocess", UID, MEMORY, actor="t")
    assert runner.work(run.pk) == "waiting"
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())
    assert runner.work(run.pk) == "finished"
    calls = VendorCall.objects.filter(run=run, operation="structure").order_by("id")
    assert [call.duplicate for call in calls] == [False, taken]


def test_every_ending_of_these_has_a_sentence() -> None:
    for error, _ in ERRORS.values():
        assert isinstance(error, ProviderError)
        assert failure_catalogue.for_provider_error(error, "structure").sentence


def test_the_embedding_of_a_search_is_in_the_ledger_and_goes_with_the_user(memory: Memory) -> None:
    """It belongs to no run, and is paid all the same."""
    from memories.pipeline.operations import metrics
    from memories.search import query

    query.search(UID, "the table for friday")
    [call] = VendorCall.objects.filter(run=None)
    assert (call.uid, call.vendor, call.operation, call.outcome) == (UID, "embedder", "embed_query", "success")
    assert call.cost > 0
    fakes.SCRIPT["embedder"] = [fakes.transient("embedder")]
    query.search(UID, "Live")  # words alone find it
    assert VendorCall.objects.filter(run=None, outcome="upstream_error").count() == 1
    before = metrics._all_figures()
    service.forget_user(UID)
    assert not VendorCall.objects.exists()
    assert metrics._all_figures() == before
