"""Starting, joining, standing in line, cancelling, forgetting; and telling the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories.pipeline import queries, recovery, runner, service, status
from memories.pipeline.engine import notifications
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact
from memories.repository import memories as repository
from memories.shapes import Memory, PostProcessingStatus
from memories.user_events import log
from omi.core.errors import ErrorKind, ProviderError
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def start(audio: Any, **more: Any) -> PostProcessingRun:
    return service.start("postprocess", UID, MEMORY, actor="test", audio=audio, **more)


def test_the_same_recording_again_joins_its_run(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    """Two uploads both ran."""
    run = start(upload())
    assert start(upload()).pk == run.pk
    drive(run)
    assert start(upload()).pk == run.pk  # done already: nothing is paid again


def test_a_key_used_for_another_recording_is_a_conflict(memory: Memory, upload: Any) -> None:
    run = start(upload(), idempotency_key="key")
    assert start(upload(), idempotency_key="key").pk == run.pk
    with pytest.raises(service.IdempotencyConflict):
        start(upload(seed=2), idempotency_key="key")


def test_another_recording_stands_in_line_and_runs_afterwards(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    first, second = start(upload()), start(upload(seed=2))
    assert second.blocked
    assert runner.work(second.pk) == "not_claimed"
    drive(first)
    second.refresh_from_db()
    assert not second.blocked
    assert drive(second).outcome == "success"


def test_a_newer_recording_takes_the_place_of_the_one_in_line(memory: Memory, upload: Any) -> None:
    first, second, third = start(upload()), start(upload(seed=2)), start(upload(seed=3))
    second.refresh_from_db()
    assert (second.outcome, second.message_id) == ("canceled", "superseded")
    assert (first.blocked, third.blocked) == (False, True)


def test_a_run_forgotten_in_line_is_let_in(memory: Memory, upload: Any) -> None:
    start(upload())
    second = start(upload(seed=2))
    PostProcessingRun.objects.exclude(pk=second.pk).update(
        state="finished", outcome="success", finished_at=timezone.now(), notified=True
    )
    assert recovery.reconcile().admitted == 1
    second.refresh_from_db()
    assert not second.blocked


def test_an_end_that_could_not_be_told_is_told_later(
    memory: Memory, upload: Any, heard: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The document store is down when the run fails."""
    fakes.SCRIPT["first"] = [fakes.permanent()]

    def down(*args: Any, **kwargs: Any) -> None:
        raise ProviderError("documents", "is out of reach", kind=ErrorKind.TRANSIENT)

    with monkeypatch.context() as patch:
        patch.setattr(repository, "mutate_memory", down)
        run = drive(start(upload()))
        assert not run.notified
    monkeypatch.setattr(recovery, "GRACE", timedelta(minutes=-1))
    assert recovery.reconcile().notified == 1
    shown = repository.get_memory(UID, MEMORY)
    assert shown.postprocessing is not None
    assert shown.postprocessing.status == "failed"
    assert notifications.end(run.pk)  # ... and only once
    told = [item["type"] for item in log.after(UID, 0)]
    assert told == ["memory_post_processing_started", "memory_post_processing_failed"]


def test_a_store_that_is_down_delays_the_publishing_and_pays_nothing_again(
    memory: Memory, upload: Any, heard: Any, monkeypatch: pytest.MonkeyPatch, drive: Drive
) -> None:
    run = start(upload())
    real, calls = repository.mutate_memory, []

    def flaky(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if 1 < len(calls) <= 3:  # the first one is the status
            raise ProviderError("documents", "is out of reach", kind=ErrorKind.TRANSIENT)
        return real(*args, **kwargs)

    monkeypatch.setattr(repository, "mutate_memory", flaky)
    assert drive(run).outcome == "success"
    assert fakes.count("first", "submit") == 1


def test_forgetting_a_memory_erases_the_content_and_keeps_the_trace(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    run = drive(start(upload()))
    assert StepArtifact.objects.exists()
    assert service.forget_memory(UID, MEMORY) == {"runs": 1, "vendor_copies": 0}
    assert not StepArtifact.objects.exists()
    assert not RunStep.objects.exclude(output={}).exists()
    run.refresh_from_db()
    assert (run.outcome, run.audio) == ("success", "")


def test_forgetting_a_user_in_mid_run_leaves_nothing(memory: Memory, upload: Any, heard: Any) -> None:

    def erase() -> None:
        repository.delete_memory(UID, MEMORY)
        service.forget_user(UID)
        log.forget_user(UID)

    fakes.SCRIPT["first"] = [erase]
    run = start(upload())
    assert runner.work(run.pk) in ("lease_lost", "canceled")
    assert not PostProcessingRun.objects.filter(uid=UID).exists()
    assert log.after(UID, 0) == []


def test_a_stranger_finds_no_run(memory: Memory, upload: Any) -> None:
    run = start(upload())
    assert queries.get_run(UID, run.pk).pk == run.pk
    for uid, identity in [("other", run.pk), (UID, "1 OR 1=1"), (UID, "9" * 30), (UID, "-1"), (UID, "²")]:
        with pytest.raises(queries.RunNotFound):
            queries.get_run(uid, identity)


def test_percent_only_grows_and_the_document_is_json(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    import json

    fakes.SCRIPT["first"] = ["pending"]
    run = start(upload())
    seen = [status.document(run)["percent"]]
    runner.work(run.pk)
    run.refresh_from_db()
    waiting = status.document(run)
    seen.append(waiting["percent"])
    assert waiting["retry_after"] is not None
    assert waiting["step"] == "transcribe"
    drive(run)
    seen.append(status.document(run)["percent"])
    assert seen == sorted(seen)
    assert seen[-1] == 100
    json.dumps(status.document(run))


def test_every_message_says_what_to_do() -> None:
    from memories.pipeline.failure_catalogue import CATALOGUE

    assert all(item.header and item.sentence and item.what_to_do for item in CATALOGUE.values())
    assert {item.fault for item in CATALOGUE.values()} == {"nobody", "user", "vendor", "configuration", "ours"}


def test_the_terminal_tells_the_whole_story_without_a_word_of_the_transcript(
    memory: Memory, upload: Any, heard: Any, drive: Drive, capsys: Any
) -> None:
    from django.core.management import call_command

    fakes.SCRIPT["first"] = [fakes.transient()]
    run = drive(start(upload(), reason="a test"))
    call_command("explain", MEMORY)
    told = capsys.readouterr().out
    assert f"Run {run.pk}: postprocess" in told
    assert "first transcribe: upstream_error transient 503" in told
    assert "anna" not in told
    call_command("reprocess", UID, MEMORY, "--dry-run", "--from-step", "structure")
    told = capsys.readouterr().out
    assert f"transcribe         reused  taken from run {run.pk}" in told
    assert "structure          runs    asked for" in told


def test_the_metrics_come_from_the_rows(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    from prometheus_client import CollectorRegistry, generate_latest

    from memories.pipeline.operations.metrics import PipelineCollector

    fakes.SCRIPT["first"] = [fakes.quota()]
    drive(start(upload()))
    registry = CollectorRegistry()
    registry.register(PipelineCollector())
    told = generate_latest(registry).decode()
    assert 'memory_postprocessing_errors_total{outcome="quota",step="transcribe",vendor="first"} 1.0' in told
    assert 'memory_postprocessing_duration_seconds_count{outcome="success",step="prepare_audio"} 1.0' in told
    assert 'memory_vendor_breaker_open{reason="quota",vendor="first"} 1.0' in told


@pytest.mark.parametrize("later", ["in_progress", "canceled"])
def test_a_run_that_completes_leaves_the_state_of_a_newer_one_alone(
    memory: Memory, upload: Any, heard: Any, drive: Drive, later: str
) -> None:
    """The app was told that post-processing was completed while the next recording waited."""
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    first, second = start(upload()), start(upload(seed=2))
    notifications.mark(second, PostProcessingStatus.IN_PROGRESS)
    if later == "canceled":
        service.cancel(second, actor="user")
    drive(first)
    told = repository.get_memory(UID, MEMORY).postprocessing
    assert told is not None
    expected = (str(second.pk), "in_progress") if later == "in_progress" else (str(first.pk), "completed")
    assert (told.run_id, told.status) == expected
    assert repository.get_memory(UID, MEMORY).active_transcript == "first_model"


def test_an_old_forgotten_run_in_line_does_not_starve_behind_many_others(memory: Memory, upload: Any) -> None:
    start(upload())
    forgotten = start(upload(seed=2))
    PostProcessingRun.objects.exclude(pk=forgotten.pk).update(
        state="finished", outcome="success", finished_at=timezone.now(), notified=True
    )
    for number in range(120):
        for seed in (1, 2):
            service.start("reprocess", UID, f"other-{number}", actor="test", options={"seed": seed})
    newest = PostProcessingRun.objects.order_by("-pk").first()
    assert newest is not None
    PostProcessingRun.objects.filter(pk=forgotten.pk).update(created_at=newest.created_at)
    assert recovery.reconcile().admitted == 1
    forgotten.refresh_from_db()
    assert not forgotten.blocked


def test_reminders_come_to_every_run_however_many_are_due(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [service.start("reprocess", UID, f"m{number}", actor="test") for number in range(12)]
    PostProcessingRun.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert sum(recovery.resend_lost(limit=4).resent for _ in range(3)) == len(runs)


def test_ends_that_cannot_be_told_keep_no_other_from_being_told(
    memory: Memory, upload: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [service.start("reprocess", UID, f"m{number}", actor="test") for number in range(12)]
    ended = {"state": "finished", "outcome": "success", "finished_at": timezone.now() - timedelta(hours=1)}
    PostProcessingRun.objects.update(**ended, message_id="success")
    real = notifications.end
    never = {run.pk for run in runs[:5]}
    monkeypatch.setattr(notifications, "end", lambda pk: False if pk in never else real(pk))
    for _ in range(6):
        recovery.notify_ends(limit=3)
    assert set(PostProcessingRun.objects.filter(notified=False).values_list("pk", flat=True)) == never
