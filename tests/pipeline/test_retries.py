"""Only the pipeline retries: bounded, honouring the vendor, and with the next provider in order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from django_q.models import OrmQ

from memories.pipeline import runner, service, tasks
from memories.pipeline.engine import checkpoints, queue, retry_policy
from memories.pipeline.models import PostProcessingRun, RunStep, VendorBreaker, VendorCall
from memories.pipeline.vendor_calls import circuit_breaker, records
from memories.shapes import Memory
from omi.core import workspace
from omi.core.errors import ErrorKind, Outcome, OwnFault, ProviderError
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def start(upload: Any, **more: Any) -> PostProcessingRun:
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload(), **more)


def two(settings: Any) -> None:
    settings.PROVIDERS = fakes.providers(settings.PROVIDERS, {"name": "first"}, {"name": "second"})


def test_a_transient_failure_is_tried_again_later_and_succeeds(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    fakes.SCRIPT["first"] = [fakes.transient(), fakes.transient()]
    run = drive(start(upload))
    assert run.outcome == "success"
    assert fakes.count("first", "submit") == 3


def test_transient_failures_end_after_six_tries_with_the_vendor_named(
    memory: Memory, upload: Any, heard: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "FAILURES", 99)
    fakes.SCRIPT["first"] = [fakes.transient() for _ in range(50)]
    run = drive(start(upload))
    assert (run.outcome, run.message_id) == ("upstream_error", "vendor_unavailable")
    assert fakes.count("first", "submit") == retry_policy.ATTEMPTS


def test_a_decoder_that_this_machine_fails_is_tried_again_and_not_the_users_fault(
    memory: Memory, upload: Any, heard: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk was told as "The recording is damaged", for good."""
    from transcription.audio import convert

    real, disk = convert.decode_to_wav, [OwnFault("no room", code="decode_ENOSPC") for _ in range(2)]

    def decode(*args: Any, **more: Any) -> Any:
        if disk:
            raise disk.pop()
        return real(*args, **more)

    monkeypatch.setattr(convert, "decode_to_wav", decode)
    assert drive(start(upload)).outcome == "success"
    disk[:] = [OwnFault("no room", code="decode_ENOSPC") for _ in range(50)]
    run = drive(service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=3)))
    assert (run.outcome, run.message_id) == ("upstream_error", "internal_error")
    assert len(disk) == 50 - retry_policy.ATTEMPTS


@pytest.mark.parametrize("failure", [fakes.quota, fakes.permanent])
def test_what_will_not_pass_goes_to_the_next_provider_at_once(
    memory: Memory, upload: Any, heard: Any, drive: Drive, settings: Any, failure: Any
) -> None:
    two(settings)
    fakes.SCRIPT["first"] = [failure()]
    run = drive(start(upload))
    assert run.outcome == "success"
    output = RunStep.objects.get(run=run, name="transcribe").output
    assert output["vendor"] == "second"
    assert list(output["given_up"]) == ["first"]
    assert (fakes.count("first", "submit"), fakes.count("second", "submit")) == (1, 1)


def test_a_provider_that_does_not_hear_the_language_is_not_asked(
    memory: Memory, upload: Any, heard: Any, drive: Drive, settings: Any
) -> None:
    settings.PROVIDERS = fakes.providers(
        settings.PROVIDERS, {"name": "first", "languages": ["de"]}, {"name": "second", "languages": ["en"]}
    )
    assert drive(start(upload)).outcome == "success"
    assert fakes.count("first", "submit") == 0


def test_a_language_nobody_hears_is_a_matter_of_configuration(
    memory: Memory, upload: Any, heard: Any, drive: Drive, settings: Any
) -> None:
    settings.PROVIDERS = fakes.providers(settings.PROVIDERS, {"name": "first", "languages": ["de"]})
    run = drive(start(upload))
    assert (run.outcome, run.message_id) == ("config_error", "language_not_supported")


def test_quota_opens_the_breaker_for_every_run(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    fakes.SCRIPT["first"] = [fakes.quota()]
    assert drive(start(upload)).outcome == "quota"
    assert VendorBreaker.objects.get(pk="first").open
    run = drive(start(lambda: upload(seed=2)))
    assert run.outcome == "quota"
    assert fakes.count("first", "submit") == 1  # the second run did not call


def test_the_breaker_lets_one_probe_through_and_closes_on_success() -> None:
    circuit_breaker.failed(fakes.quota())
    with pytest.raises(ProviderError):
        circuit_breaker.admit("first")
    VendorBreaker.objects.update(retry_at=timezone.now() - timedelta(seconds=1))
    assert circuit_breaker.admit("first") is True
    with pytest.raises(ProviderError) as caught:
        circuit_breaker.admit("first")
    assert (caught.value.kind, caught.value.code) == (ErrorKind.QUOTA, "breaker_open")
    circuit_breaker.succeeded("first")
    assert circuit_breaker.admit("first") is False


def test_permanent_errors_say_nothing_about_a_vendors_health() -> None:
    for _ in range(20):
        circuit_breaker.failed(fakes.permanent())
    assert circuit_breaker.admit("first") is False


@pytest.mark.parametrize(("asked", "least"), [(None, 2), (90.0, 90)])
def test_the_vendors_retry_after_is_a_lower_bound(asked: float | None, least: float) -> None:
    seconds = retry_policy.delay({}, "first", fakes.transient(retry_after=asked))
    assert seconds is not None
    assert least <= seconds <= max(least, 5)


def test_waits_grow_and_are_bounded_in_count_and_by_the_runs_budget() -> None:
    checkpoint: dict[str, Any] = {}
    waits = [retry_policy.delay(checkpoint, "first", fakes.transient()) for _ in range(retry_policy.ATTEMPTS)]
    assert waits[-1] is None
    told = [wait for wait in waits if wait is not None]
    assert told[-1] > told[0] * 4
    many: dict[str, Any] = {}
    spent = [
        retry_policy.delay(many, f"vendor-{index}", fakes.transient()) for index in range(retry_policy.RUN_BUDGET + 1)
    ]
    assert spent[-1] is None
    assert retry_policy.delay({}, "first", fakes.transient(retry_after=86400)) is None


def test_the_budget_is_the_runs_and_not_each_steps(
    memory: Memory, upload: Any, heard: Any, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_policy, "RUN_BUDGET", 4)
    fakes.SCRIPT["first"] = [*[fakes.transient()] * 3, fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["structurer"] = [fakes.transient("structurer")] * 3
    run = drive(start(upload))
    assert run.message_id == "vendor_unavailable"
    assert (fakes.count("first", "submit"), fakes.count("structurer", "structure")) == (4, 2)


def test_a_job_is_submitted_once_and_resumed_by_its_ticket(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """The worker dies after the ticket was stored: the next one polls and pays nothing."""
    fakes.SCRIPT["first"] = ["pending"]
    run = start(upload)
    assert runner.work(run.pk) == "waiting"
    checkpoint = RunStep.objects.get(run=run, name="transcribe").checkpoint
    assert checkpoint["ticket"]["id"] == VendorCall.objects.get().reference
    drive(run)
    assert (fakes.count("first", "submit"), fakes.count("first", "poll")) == (1, 1)


def test_a_job_that_the_vendor_forgot_is_given_to_the_next_provider(
    memory: Memory, upload: Any, heard: Any, drive: Drive, settings: Any
) -> None:
    """Accepted, then "unknown job"."""
    two(settings)
    fakes.SCRIPT["first"] = ["pending", fakes.permanent()]
    assert drive(start(upload)).outcome == "success"
    assert fakes.count("second", "submit") == 1


def test_a_job_that_never_ends_is_canceled_and_given_to_the_next_provider(
    memory: Memory, upload: Any, heard: Any, drive: Drive, settings: Any
) -> None:
    two(settings)
    fakes.SCRIPT["first"] = ["pending"]
    run = start(upload)
    runner.work(run.pk)
    step = RunStep.objects.get(run=run, name="transcribe")
    step.checkpoint["submitted_at"] -= 7200
    step.save()
    assert drive(run).outcome == "success"
    assert (fakes.count("first", "cancel"), fakes.count("second", "submit")) == (1, 1)


def test_a_vendors_callback_makes_a_waiting_run_due(memory: Memory, upload: Any, heard: Any) -> None:
    fakes.SCRIPT["first"] = ["pending"]
    run = start(upload)
    runner.work(run.pk)
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now() + timedelta(minutes=20))
    assert runner.work(run.pk) == "not_claimed"
    assert queue.resume_now(run.pk)
    assert runner.work(run.pk) == "finished"
    assert not queue.resume_now(run.pk)  # the same callback again


def test_cancel_tells_the_vendor_and_waits_for_nobody(
    memory: Memory, upload: Any, heard: Any, django_capture_on_commit_callbacks: Any
) -> None:
    fakes.SCRIPT["first"] = ["pending"]
    run = start(upload)
    runner.work(run.pk)
    with django_capture_on_commit_callbacks(execute=True):
        assert service.cancel(run, actor="user")
    run.refresh_from_db()
    assert (run.state, run.outcome) == ("finished", "canceled")
    assert fakes.count("first", "cancel") == 0, "who cancels waits for no vendor"
    [task] = [item.task for item in OrmQ.objects.all() if item.task["func"] == queue.STOP_JOBS]
    assert tasks.stop_jobs(*task["args"]) == 1
    assert fakes.count("first", "cancel") == 1
    assert not service.cancel(run, actor="user")


def test_a_retry_takes_over_what_is_done_and_pays_nothing_twice(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    """A late failure threw a paid transcript away, and nothing could be retried."""
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["structurer"] = [fakes.permanent("structurer", Outcome.CONFIG_ERROR)]
    failed = drive(start(upload))
    assert failed.message_id == "not_configured"
    again = service.retry(failed, actor="staff", reason="the key is set now")
    assert service.retry(failed, actor="other staff").pk == again.pk  # two people press at once
    assert again.follows_id == failed.pk
    drive(again)
    assert again.outcome == "success"
    reused = RunStep.objects.filter(run=again, reused_from__run=failed).values_list("name", flat=True)
    assert set(reused) == {"prepare_audio", "transcribe", "assess"}
    assert fakes.count("first", "submit") == 1


def test_a_retry_from_a_step_does_that_step_anew(memory: Memory, upload: Any, heard: Any, drive: Drive) -> None:
    done = drive(start(upload))
    again = drive(service.retry(done, actor="staff", reason="better model", from_step="transcribe"))
    assert fakes.count("first", "submit") == 2
    assert RunStep.objects.get(run=again, name="prepare_audio").reused_from is not None
    assert VendorCall.objects.filter(run=again, operation="transcribe", duplicate=True).count() == 1
    with pytest.raises(ValueError, match="has no step"):
        service.retry(again, actor="staff", from_step="nonsense")


def test_an_unfinished_run_cannot_be_retried(memory: Memory, upload: Any) -> None:
    with pytest.raises(service.NotRetryable):
        service.retry(start(upload), actor="staff")


@pytest.mark.parametrize("refusals", [1, 25])
def test_refusals_of_our_own_open_breaker_are_no_tries(
    memory: Memory, upload: Any, heard: Any, drive: Drive, refusals: int
) -> None:
    """An outage of some minutes of the only vendor used up all tries although nobody was asked."""
    run = start(upload)
    later = timezone.now() + timedelta(minutes=10)
    VendorBreaker.objects.create(vendor="first", failures=5, open=True, reason="transient", retry_at=later)
    for _ in range(refusals):
        assert runner.work(run.pk) == "waiting"
        PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())
    step = run.steps.get(name="transcribe")
    assert (step.attempts, step.checkpoint["failures"]["first"]["count"]) == (0, 0)
    circuit_breaker.reset("first")
    assert drive(run).outcome == "success"


def test_an_only_vendor_that_is_not_called_for_an_hour_ends_the_run(
    memory: Memory, upload: Any, heard: Any, drive: Drive
) -> None:
    run = start(upload)
    VendorBreaker.objects.create(
        vendor="first", failures=5, open=True, reason="transient", retry_at=timezone.now() + timedelta(days=1)
    )
    assert runner.work(run.pk) == "waiting"
    step = run.steps.get(name="transcribe")
    step.checkpoint["failures"]["first"]["since"] -= retry_policy.WINDOW + 1
    step.save(update_fields=["checkpoint"])
    assert drive(run).message_id == "vendor_unavailable"


def test_with_several_vendors_the_next_is_asked_at_once_and_the_refused_one_is_not_given_up(
    memory: Memory, upload: Any, heard: Any, drive: Drive, settings: Any
) -> None:
    two(settings)
    fakes.SCRIPT["second"] = [fakes.permanent("second")]
    VendorBreaker.objects.create(
        vendor="first", failures=5, open=True, reason="transient", retry_at=timezone.now() + timedelta(minutes=5)
    )
    run = start(upload)
    assert runner.work(run.pk) == "waiting"
    assert fakes.CALLS == [("second", "submit")]
    step = run.steps.get(name="transcribe")
    assert list(step.checkpoint["given_up"]) == ["second"]
    circuit_breaker.reset("first")
    assert drive(run).outcome == "success"
    assert run.steps.get(name="transcribe").output["vendor"] == "first"


def test_the_copies_of_a_recording_go_although_the_database_stays_away(
    memory: Memory, upload: Any, heard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker writes last of all fails: its folder with the recording must not stay."""

    def away(ctx: Any) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(checkpoints, "PAUSES", ())
    monkeypatch.setattr(records, "settle", away)
    run = start(upload)
    with pytest.raises(OperationalError):
        runner.work(run.pk)
    assert run.steps.get(name="prepare_audio").state == "done"
    assert list(workspace.root().glob("run-*")) == []
