"""Rows about work that is over are deleted by policy, in pieces, and no counter falls."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories import upkeep
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun, RunEvent, RunStep, StepArtifact, StepAttempt, VendorCall
from memories.pipeline.operations import retention
from memories.pipeline.vendor_calls import records
from memories.repository import memories as repository
from memories.shapes import Memory
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.test_metrics import scraped

pytestmark = pytest.mark.django_db
Drive = Callable[..., PostProcessingRun]
After = Callable[[int], retention.Report]


@pytest.fixture
def ended(memory: Memory, upload: Any, heard: Any, drive: Drive) -> PostProcessingRun:
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    return drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], retention.Report]:
    """The job as it runs so many days from now."""

    def prune(days: int) -> retention.Report:
        later = timezone.now() + timedelta(days=days)
        with monkeypatch.context() as patch:
            patch.setattr(timezone, "now", lambda: later)
            return retention.prune()

    return prune


def test_nothing_goes_before_its_time(ended: PostProcessingRun, after: After) -> None:
    assert upkeep.retention() == {"artifacts_of": 0, "answers": 0, "runs": 0, "calls": 0, "days_of_use": 0}
    assert after(6) == retention.Report()
    assert StepArtifact.objects.exists()


def test_large_results_go_after_a_week_and_a_retry_does_its_work_anew(
    ended: PostProcessingRun, drive: Drive, after: After
) -> None:
    report = after(8)
    assert (report.artifacts_of, report.runs) == (3, 0), "transcript, voices, vector"
    assert not StepArtifact.objects.exists()
    assert repository.get_memory(UID, MEMORY).active_transcript == "first_model", "the memory has its words"
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    again = drive(service.retry(ended, actor="test"))
    assert again.outcome == "success"
    assert not again.steps.filter(name="transcribe").exclude(reused_from=None).exists()


def test_answers_that_nobody_used_go_with_the_large_results(ended: PostProcessingRun, after: After) -> None:
    call = VendorCall.objects.filter(run=ended).first()
    assert call is not None
    VendorCall.objects.filter(pk=call.pk).update(answer=b"the words of a call that came too late")
    assert after(6).answers == 0
    assert after(8).answers == 1
    assert not VendorCall.objects.filter(answer__isnull=False).exists()


def test_runs_go_with_their_history_after_half_a_year_and_no_counter_falls(
    ended: PostProcessingRun, after: After
) -> None:
    with records.outside(UID, "embedder", "embed", remote=True):
        pass
    before = scraped()
    report = after(181)
    assert (report.runs, report.calls) == (1, 1)
    for model in (PostProcessingRun, RunStep, RunEvent, StepAttempt, VendorCall):
        assert not model.objects.exists()
    assert {name: value for name, value in scraped().items() if name in before} == before


def test_a_run_that_has_not_ended_or_was_not_told_stays(memory: Memory, upload: Any) -> None:
    service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    told = service.start("reprocess", UID, "other", actor="test")
    PostProcessingRun.objects.filter(pk=told.pk).update(
        state="finished", outcome="success", finished_at=timezone.now() - timedelta(days=400)
    )
    assert retention.prune().runs == 0


def test_it_goes_in_pieces(ended: PostProcessingRun, monkeypatch: pytest.MonkeyPatch, after: After) -> None:
    monkeypatch.setattr(retention, "PIECE", 1)
    report = after(400)
    assert (report.artifacts_of, report.runs) == (3, 1)


def test_zero_days_keep_for_ever(ended: PostProcessingRun, settings: Any, after: After) -> None:
    settings.OMI_ARTIFACT_KEEP_DAYS = settings.OMI_RUN_KEEP_DAYS = 0
    after(4000)
    assert StepArtifact.objects.exists()
