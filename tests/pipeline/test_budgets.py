"""What one user may have in a day: counted, bounded, told with the time to wait, and erased with the user."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import budgets, service
from memories.pipeline.budgets import BudgetSpent, Kind
from memories.pipeline.models import DailyUse, PostProcessingRun
from memories.shapes import Memory
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db
Drive = Callable[..., PostProcessingRun]

LIMITS = {
    Kind.RUNS: ("OMI_RUNS_PER_DAY", {"runs": 1}), Kind.SEARCHES: ("OMI_SEARCHES_PER_DAY", {"searches": 1}),
    Kind.UPLOAD_BYTES: ("OMI_UPLOAD_BYTES_PER_DAY", {"upload_bytes": 1}),
}  # fmt: skip


def used(kind: Kind) -> int:
    return sum(DailyUse.objects.filter(kind=kind.value).values_list("amount", flat=True))


@pytest.mark.parametrize("kind", list(LIMITS))
def test_each_budget_is_bounded_by_its_setting_and_begins_anew_tomorrow(
    settings: Any, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, asked = LIMITS[kind]
    setattr(settings, name, 3)
    noon = datetime(2026, 11, 1, 12, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: noon)
    for _ in range(3):
        budgets.spend("ana", **asked)
    with pytest.raises(BudgetSpent) as told:
        budgets.spend("ana", **asked)
    assert (told.value.kind, told.value.seconds, used(kind)) == (kind, 12 * 3600.0, 3)
    budgets.spend("bob", **asked)
    monkeypatch.setattr(timezone, "now", lambda: noon + timedelta(hours=12))
    budgets.spend("ana", **asked)
    setattr(settings, name, 0)
    for _ in range(5):
        budgets.spend("ana", **asked)


def test_one_request_that_is_too_large_counts_for_nothing(settings: Any) -> None:
    settings.OMI_UPLOAD_BYTES_PER_DAY = 100
    with pytest.raises(BudgetSpent):
        budgets.spend("ana", runs=1, upload_bytes=101)
    assert not DailyUse.objects.exists()
    budgets.spend("ana", runs=1, upload_bytes=100)


def test_paid_calls_are_counted_where_they_are_made_and_refuse_the_next_request(
    memory: Memory, drive: Drive, settings: Any
) -> None:
    drive(service.start("reprocess", UID, MEMORY, actor="test"))
    assert used(Kind.PAID_CALLS) == 2, "title and embedding"
    settings.OMI_PAID_CALLS_PER_DAY = 2
    with pytest.raises(BudgetSpent):
        budgets.spend(UID, runs=1)
    run = drive(service.start("reprocess", UID, MEMORY, actor="test", options={"again": 1}))
    assert run.outcome == "success", "what was taken is worked on"


def test_what_was_used_is_erased_with_the_user_and_forgotten_in_time() -> None:
    budgets.spend("ana", runs=1)
    budgets.spend("bob", runs=1)
    DailyUse.objects.filter(uid="bob").update(day=timezone.now().date() - timedelta(days=60))
    service.forget_user("ana")
    assert budgets.prune() == 1
    assert not DailyUse.objects.exists()


def live() -> set[str]:
    return {item.name for item in audio.for_memory(UID, MEMORY, purpose="upload")}


def test_superseded_uploads_are_deleted(
    memory: Memory, upload: Any, heard: Any, drive: Drive, django_capture_on_commit_callbacks: Any
) -> None:
    """Eight uploads to one memory kept all eight recordings, and what was prepared from them."""
    uploads = [upload(seed=seed) for seed in range(5)]
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")] * 2
    with django_capture_on_commit_callbacks(execute=True):
        runs = [service.start("postprocess", UID, MEMORY, actor="test", audio=item) for item in uploads]
    assert live() == {uploads[0].name, uploads[4].name}, "three stood in line and gave way"
    drive(runs[0])
    assert {uploads[0].name, uploads[4].name} <= live()
    drive(PostProcessingRun.objects.get(pk=runs[4].pk))
    prepared = PostProcessingRun.objects.get(pk=runs[4].pk).steps.get(name="prepare_audio").output["audio"]
    assert live() == {uploads[4].name, prepared}, "the newest has its words in the memory"


def test_a_recording_that_another_run_works_on_is_not_deleted(
    memory: Memory, upload: Any, heard: Any, drive: Drive, django_capture_on_commit_callbacks: Any
) -> None:
    fakes.SCRIPT["first"] = [fakes.permanent()]
    failed = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload()))
    with django_capture_on_commit_callbacks(execute=True):
        service.start("reprocess", UID, MEMORY, actor="test")
        service.retry(failed, actor="test")
        service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=3))
    assert failed.audio in live()
