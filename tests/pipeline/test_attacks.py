"""What may happen to a run while a step is at work, at every step: its worker finds out before it stores anything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories import editing
from memories.pipeline import runner, service
from memories.pipeline.engine import plans
from memories.pipeline.models import PostProcessingRun, StepAttempt, VendorCall
from memories.privacy import account, erasure
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory
from memories.user_events import log
from omi.core import providers
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, copied

pytestmark = [pytest.mark.django_db, pytest.mark.parametrize("step", plans.PLANS["postprocess"])]

COUNTS = {"notified", "segments", "revision"}
"""What a step's row may hold of an erased memory: no content."""

Attack = Callable[[], Any]
Under = Callable[[str, Attack], str]


@pytest.fixture
def run(memory: Memory, upload: Any, heard: Any, monkeypatch: pytest.MonkeyPatch) -> PostProcessingRun:
    # The upload is 16 kHz mono already, and decoding in a child process has tests of its own: 40 of them take long.
    monkeypatch.setattr("transcription.audio.convert.decode_to_wav", copied)
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), options={"emotional_feedback": True})


@pytest.fixture
def under(run: PostProcessingRun, monkeypatch: pytest.MonkeyPatch) -> Under:
    """``under(step, attack)``: the first worker does ``step``; before it can store the result, ``attack`` happens."""

    def work(step: str, attack: Attack) -> str:
        module = runner.load(step)
        assert module is not None
        real = module.run

        def then_attacked(ctx: Any) -> Any:
            result = real(ctx)
            monkeypatch.setattr(module, "run", real)
            attack()
            return result

        monkeypatch.setattr(module, "run", then_attacked)
        return runner.work(run.pk, owner="first")

    return work


def vector() -> dict[str, Any]:
    found: dict[str, Any] = providers.one("vectors").fetch([f"{UID}-{MEMORY}"], namespace="ns1")
    return found


def told(run: PostProcessingRun) -> list[str]:
    ends = ("success", "failed")
    return [item["type"] for item in log.after(UID, 0) if item.get("run_id") == run.pk and item["type"].endswith(ends)]


def test_a_worker_that_was_taken_over_stores_nothing_more(run: PostProcessingRun, under: Under, step: str) -> None:
    seen: list[Any] = []

    def taken_over() -> None:
        PostProcessingRun.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
        assert runner.work(run.pk, owner="second") == "finished"
        seen.append((PostProcessingRun.objects.get(pk=run.pk), repository.get_memory(UID, MEMORY)))

    assert under(step, taken_over) == "lease_lost"
    ended, shown = seen[0]
    assert (ended.outcome, ended.fence) == ("success", 2)
    assert repository.get_memory(UID, MEMORY) == shown
    after = PostProcessingRun.objects.get(pk=run.pk)
    assert (after.outcome, after.finished_at, after.fence) == (ended.outcome, ended.finished_at, 2)
    assert told(run) == ["memory_post_processing_success"]
    assert len(transcripts.list_versions(UID, MEMORY, "first_model")) == 1
    history = StepAttempt.objects.filter(step__run=run)
    assert set(history.filter(result="lost").values_list("step__name", flat=True)) == {step}
    assert set(history.filter(step__name=step, result="done").values_list("worker", flat=True)) == {"second"}
    # A call that the first worker had paid and could not store is made again, and counted.
    again = {"transcribe": 1, "structure": 1, "index": 1, "emotions": 1}.get(step, 0)
    assert VendorCall.objects.filter(run=run, duplicate=True).count() == again


def test_a_memory_that_is_erased_leaves_nothing_behind(run: PostProcessingRun, under: Under, step: str) -> None:
    """The memory came back, or its vector stayed."""
    under(step, lambda: erasure.erase_memory(UID, MEMORY))
    ended = PostProcessingRun.objects.get(pk=run.pk)
    assert ended.state == "finished"
    if step != "publish":
        assert (ended.outcome, ended.message_id) == ("canceled", "memory_gone")
    with pytest.raises(repository.MemoryNotFound):
        repository.get_memory(UID, MEMORY)
    assert vector() == {}
    assert audio.for_memory(UID, MEMORY) == []
    assert transcripts.list_transcripts(UID, MEMORY) == {}
    assert not any(item.checkpoint or item.output.keys() - COUNTS for item in ended.steps.all())


def test_an_account_that_is_erased_leaves_nothing_behind(run: PostProcessingRun, under: Under, step: str) -> None:
    under(step, lambda: account.delete_account(UID))
    assert not PostProcessingRun.objects.exists()
    assert not VendorCall.objects.exists()
    assert erasure.verify_user_erased(UID) == {}


def test_a_cancel_ends_the_run_at_its_next_write(run: PostProcessingRun, under: Under, step: str) -> None:
    under(step, lambda: service.cancel(PostProcessingRun.objects.get(pk=run.pk), actor="user"))
    ended = PostProcessingRun.objects.get(pk=run.pk)
    shown = repository.get_memory(UID, MEMORY)
    if step == "publish":  # it was told that it succeeded: too late
        assert (ended.outcome, told(run)) == ("success", ["memory_post_processing_success"])
        return
    assert (ended.outcome, ended.message_id, ended.notified) == ("canceled", "canceled", True)
    assert told(run) == ["memory_post_processing_failed"]
    assert (shown.active_transcript, vector()) == ("deepgram_streaming", {})


def test_what_a_person_sets_meanwhile_wins(run: PostProcessingRun, under: Under, step: str) -> None:
    assert under(step, lambda: editing.set_texts(UID, MEMORY, {"title": "Mine", "overview": None})) == "finished"
    shown = repository.get_memory(UID, MEMORY)
    assert (shown.structured.title, shown.active_transcript) == ("Mine", "first_model")
