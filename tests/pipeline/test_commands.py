"""The commands of support staff: what they say is true, and what they foretell is what happens."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from memories.pipeline import recovery, service
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.operations import dry_run
from memories.pipeline.vendor_calls import circuit_breaker
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core.errors import Outcome
from omi.stores import audio
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID

pytestmark = pytest.mark.django_db

Drive = Callable[..., PostProcessingRun]


def say(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def failed(memory: Memory, upload: Any, heard: Any, drive: Drive) -> PostProcessingRun:
    """A run whose transcript is paid for, and that ended at its vector: without money."""
    fakes.SCRIPT["first"] = [fakes.words(fakes.TEXT + " then")]
    fakes.SCRIPT["embedder"] = [fakes.quota("embedder")]
    run = drive(service.start("postprocess", UID, MEMORY, actor="user:1", reason="uploaded", audio=upload()))
    assert run.message_id == "vendor_quota"
    return run


@pytest.mark.parametrize("from_step", [None, "transcribe", "structure"])
def test_what_the_dry_run_says_is_what_the_run_does(
    failed: PostProcessingRun, drive: Drive, from_step: str | None
) -> None:
    circuit_breaker.reset("structurer")
    told = dry_run.forecast(UID, MEMORY, "postprocess", failed, from_step)
    before = PostProcessingRun.objects.count(), VendorCall.objects.count()
    printed = say("reprocess", UID, MEMORY, "--dry-run", *(["--from-step", from_step] if from_step else []))
    assert (PostProcessingRun.objects.count(), VendorCall.objects.count()) == before, "nothing is done"
    say("reprocess", UID, MEMORY, "--reason", "again", *(["--from-step", from_step] if from_step else []))
    run = drive(PostProcessingRun.objects.latest("id"))
    reused = set(run.steps.exclude(reused_from=None).values_list("name", flat=True))
    assert {step.name for step in told.steps if not step.runs} == reused
    paid = set(VendorCall.objects.filter(run=run, cost__gt=0).values_list("step", flat=True))
    assert paid <= {step.name for step in told.steps if step.runs and step.cost != 0.0}
    for step in told.steps:
        assert f"{step.name:<17}  {'runs' if step.runs else 'reused'}" in printed


def test_the_dry_run_knows_that_the_inputs_changed(failed: PostProcessingRun, settings: Any) -> None:
    settings.PROVIDERS = fakes.providers(settings.PROVIDERS, {"name": "second"})
    told = {step.name: step for step in dry_run.forecast(UID, MEMORY, "postprocess", failed, None).steps}
    assert (told["transcribe"].runs, told["transcribe"].why) == (True, "its inputs have changed since")
    assert told["transcribe"].cost == pytest.approx(0.006 * 12 / 60)
    assert told["prepare_audio"].runs is False


def test_the_dry_run_warns_of_what_would_stop_the_run(failed: PostProcessingRun) -> None:
    for kept in audio.for_memory(UID, MEMORY):
        audio.delete(kept)
    printed = say("reprocess", UID, MEMORY, "--dry-run")
    assert "WARNING: the recording" not in printed, "its words are there"
    printed = say("reprocess", UID, MEMORY, "--dry-run", "--from-step", "transcribe")
    assert "WARNING: the recording is no longer stored" in printed
    assert printed.count("WARNING: embedder is not called until") == 1
    assert "manage.py breakers --close embedder" in printed


def test_reprocess_refuses_in_words(failed: PostProcessingRun, upload: Any) -> None:
    with pytest.raises(CommandError, match="--reason is required"):
        say("reprocess", UID, MEMORY)
    with pytest.raises(CommandError, match="no such memory: nowhere"):
        say("reprocess", UID, "nowhere", "--reason", "x")
    with pytest.raises(CommandError, match="has no step"):
        say("reprocess", UID, MEMORY, "--reason", "x", "--from-step", "gather")
    with pytest.raises(CommandError, match="no such memory"):
        say("reprocess", UID, MEMORY, "--reason", "x", "--kind", "capture")
    assert "queued" in say("reprocess", UID, MEMORY, "--reason", "x")
    with pytest.raises(CommandError, match="has not ended; nothing was started"):
        say("reprocess", UID, MEMORY, "--reason", "x")
    assert PostProcessingRun.objects.count() == 2


def test_a_capture_that_failed_without_a_memory_can_be_tried_again(db: None, drive: Drive) -> None:
    ended = drive(service.start("capture", UID, "memory-x", actor="session", options={"processing_memory_id": "gone"}))
    assert ended.message_id == "nothing_to_process"
    assert "(capture) queued" in say("reprocess", UID, "memory-x", "--kind", "capture", "--reason", "it is back")


def test_explain_tells_what_is_stored_what_happened_and_what_to_do(failed: PostProcessingRun) -> None:
    told = say("explain", MEMORY)
    for said in (
        f"Memory {MEMORY} of {UID}",
        "shows deepgram_streaming (1 segments)",
        f"the app is told: failed (run {failed.pk}) A service that is needed has reached its limit.",
        "audio (upload)",
        "NOTE: embedder is not called now (quota)",
        "detail: embedder: the account is empty",
        "Raise the limit or top up the account",
        f"manage.py reprocess {UID} {MEMORY} --kind postprocess --reason",
        "5. structure: done",
        "6. index: failed quota",
        "vendor calls: 3",
    ):
        assert said in told, said
    assert "friday" not in told
    assert "{" not in told.replace("accepted: True  {", ""), "no raw structures"


def test_explain_of_a_memory_without_runs_and_of_one_that_is_gone(memory: Memory) -> None:
    with pytest.raises(CommandError, match="--uid"):
        say("explain", MEMORY)
    assert "No run ever worked on it." in say("explain", MEMORY, "--uid", UID)
    repository.delete_memory(UID, MEMORY)
    assert "no such memory now" in say("explain", MEMORY, "--uid", UID)


def test_a_run_that_should_have_gone_on_is_pointed_out(memory: Memory, upload: Any, heard: Any) -> None:
    from memories.pipeline import runner

    fakes.SCRIPT["first"] = ["pending"]
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    runner.work(run.pk)
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now() - timezone.timedelta(minutes=5))
    assert "OVERDUE by 300 s: is a worker running?" in say("explain", MEMORY)


def test_breakers_are_listed_and_closed_by_hand(failed: PostProcessingRun) -> None:
    assert "embedder: not called since" in say("breakers")
    assert "embedder is called again from now on." in say("breakers", "--close", "embedder")
    assert say("breakers").strip() == "Every vendor is called."
    with pytest.raises(CommandError, match="nothing to close"):
        say("breakers", "--close", "embedder")


def test_dead_letters_are_listed_with_what_to_do_and_tried_again_with_a_reason(
    memory: Memory, upload: Any, settings: Any
) -> None:
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    PostProcessingRun.objects.filter(pk=run.pk).update(claims=99, total_claims=99)
    run.refresh_from_db()
    assert recovery.end_unclaimable(run)
    listed = say("deadletters")
    assert f"run {run.pk}  postprocess  {UID}/{MEMORY}  given up in prepare_audio after 99 workers" in listed
    assert "a file that crashes a decoder, or too little memory" in listed
    assert "1 dead letters" in listed
    with pytest.raises(CommandError, match="--reason"):
        say("deadletters", "--retry")
    assert "-> run" in say("deadletters", "--retry", "--reason", "more memory")
    assert "0 dead letters" in say("deadletters"), "a run that is followed is no dead letter any more"
    again = PostProcessingRun.objects.latest("id")
    assert (again.follows, again.reason, again.actor) == (run, "more memory", "manage.py")


def test_reconcile_says_what_it_did(memory: Memory, upload: Any) -> None:
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload())
    long_ago = timezone.now() - timezone.timedelta(minutes=10)
    PostProcessingRun.objects.filter(pk=run.pk).update(created_at=long_ago)
    told = say("reconcile")
    assert "1 runs sent again" in told
    assert "oldest unfinished run: 600 s old" in told


def test_the_message_of_a_bad_prompt_is_not_a_damaged_recording() -> None:
    from memories.pipeline.failure_catalogue import for_provider_error

    refused = fakes.permanent("openai", Outcome.INVALID_INPUT)
    assert for_provider_error(refused, "structure").id == "vendor_rejected"
    assert for_provider_error(refused, "index").id == "vendor_rejected"
    assert for_provider_error(refused, "transcribe").id == "audio_broken"


@pytest.mark.parametrize("wanted", [True, False])
def test_a_dry_run_counts_the_emotions_that_the_memory_asks_for(failed: PostProcessingRun, wanted: bool) -> None:
    """They were told as free, and paid for by the run."""
    repository.update_memory(UID, MEMORY, {"emotional_feedback": wanted})
    told = {step.name: step for step in dry_run.forecast(UID, MEMORY, "postprocess", failed, None).steps}
    assert told["emotions"].cost == (None if wanted else 0.0), "nobody has paid for them here yet: unknown, not free"
