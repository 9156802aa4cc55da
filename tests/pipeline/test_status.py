"""What the app is told of a run that waits, or that stands in line."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import runner, service, status
from memories.pipeline.models import PostProcessingRun
from memories.shapes import Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID, wav

pytestmark = pytest.mark.django_db


def shown(run: PostProcessingRun) -> dict[str, Any]:
    return status.document(PostProcessingRun.objects.get(pk=run.pk))


def test_the_time_that_it_waits_is_part_of_the_eta_and_its_reason_is_told(
    memory: Memory, upload: Any, heard: Any
) -> None:
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    before = shown(run)
    assert before["message"] is None
    fakes.SCRIPT["first"] = [fakes.transient(retry_after=1500)]
    assert runner.work(run.pk) == "waiting"
    told = shown(run)
    assert 1490 < told["retry_after"] <= 1500
    assert told["eta_seconds"] > 1490
    assert (told["message"]["id"], told["message"]["fault"]) == ("vendor_unavailable", "vendor")
    assert told["retryable"] is False  # it goes on by itself
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())
    assert runner.work(run.pk) == "finished"
    assert (shown(run)["eta_seconds"], shown(run)["message"]["fault"]) == (None, "nobody")


def test_a_job_at_a_vendor_is_no_trouble(memory: Memory, upload: Any, heard: Any) -> None:
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    fakes.SCRIPT["first"] = ["pending"]
    assert runner.work(run.pk) == "waiting"
    assert shown(run)["message"] is None


def test_a_run_in_line_counts_what_is_left_of_the_one_before_it(memory: Memory, upload: Any, heard: Any) -> None:
    first = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    second = service.start("postprocess", UID, MEMORY, actor="test", audio=upload(wav(seed=2)))
    alone = shown(first)["eta_seconds"]
    assert shown(second)["in_line"]
    assert shown(second)["eta_seconds"] >= 1.9 * alone
    fakes.SCRIPT["first"] = [fakes.transient(retry_after=600)]
    runner.work(first.pk)
    assert shown(second)["eta_seconds"] > 600


def test_a_user_may_have_a_memory_done_anew_only_so_often(memory: Memory) -> None:
    run = service.start("reprocess", UID, MEMORY, actor="test")
    for _ in range(3):
        runner.work(run.pk)
        run = service.retry(run, actor="user:1", from_step="structure", most=3)
    runner.work(run.pk)
    with pytest.raises(service.TooManyRetries) as refused:
        service.retry(run, actor="user:1", from_step="structure", most=3)
    assert 86000 < refused.value.seconds <= 86400
    assert fakes.count("structurer", "structure") == 4
    run = service.retry(run, actor="support")  # staff is not bound
    runner.work(run.pk)
    PostProcessingRun.objects.update(created_at=timezone.now() - timedelta(days=2))
    assert service.retry(run, actor="user:1", most=3).follows_id == run.pk
