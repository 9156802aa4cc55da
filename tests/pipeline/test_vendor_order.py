"""Each pre-recorded vendor alone through a whole run, and one after the other: over HTTP, with the real adapters."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from demo.vendors.server import VendorServer
from memories.pipeline import runner, service, tasks
from memories.pipeline.models import PostProcessingRun, VendorCall
from memories.pipeline.steps import transcribe
from memories.pipeline.vendor_calls import circuit_breaker
from memories.repository import memories as repository
from memories.repository import transcripts
from memories.shapes import Memory
from omi.core.errors import ErrorKind, ProviderError
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.vendor_run import DEEPGRAM, EVER, FAL, SONIOX, Process, calls, model, process
from tests.support.vendor_fixtures import Talk, talk, vendor_server, vendors

__all__ = ["process", "talk", "vendor_server", "vendors"]
pytestmark = pytest.mark.django_db

NAMES = {FAL: "fal_whisperx", DEEPGRAM: "deepgram", SONIOX: "soniox"}
MODELS = {FAL: "fal_whisperx", DEEPGRAM: "deepgram_prerecorded", SONIOX: "soniox_async"}
SUBMITS = {"fal": "submit", "deepgram": "file", "soniox": "upload"}


def kept_at_soniox(vendors: VendorServer) -> int:
    held = vendors.state.store["soniox"]
    return len(held.get("files", {})) + len(held.get("transcriptions", {}))


@pytest.mark.parametrize("vendor", NAMES)
def test_each_vendor_alone_takes_a_recording_through_a_whole_run(
    process: Process, vendors: VendorServer, talk: Talk, vendor: str
) -> None:
    run = process(vendor)
    assert (run.outcome, run.message_id, model()) == ("success", "success", MODELS[vendor])
    shown = repository.get_memory(UID, MEMORY).transcript_segments
    said = " ".join(item.text for item in shown).split()
    assert [word.strip(".,?!").lower() for word in said] == [word.word.strip(".,?!").lower() for word in talk.words]
    assert len({item.speaker for item in shown}) == 2
    assert shown[0].start == pytest.approx(talk.words[0].start, abs=0.2)
    [call] = VendorCall.objects.filter(run=run, operation="transcribe")
    assert (call.vendor, call.outcome, call.duplicate) == (NAMES[vendor], "success", False)
    assert call.audio_seconds == pytest.approx(talk.seconds, abs=0.1)
    assert call.cost > 0
    assert set(transcripts.list_transcripts(UID, MEMORY)) == {"deepgram_streaming", MODELS[vendor]}
    assert kept_at_soniox(vendors) == 0, "the vendor keeps nothing once the words are ours"


def test_three_vendors_are_asked_in_order_and_each_only_after_the_one_before(
    process: Process, vendors: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "FAILURES", 99)  # an open breaker passes over a vendor without giving it up
    vendors.faults("fal", {"kind": "refuse", "status": 402, "op": "submit", **EVER})
    vendors.faults("deepgram", {"kind": "refuse", "status": 503, "op": "file", **EVER})
    run = process(FAL, DEEPGRAM, SONIOX)
    assert (run.outcome, model()) == ("success", "soniox_async")
    asked = sorted((entry["time"], vendor) for vendor, op in SUBMITS.items() for entry in vendors.log(vendor, op))
    order = list(dict.fromkeys(vendor for _, vendor in asked))
    assert order == ["fal", "deepgram", "soniox"]
    assert [vendor for _, vendor in asked].index("soniox") == len(asked) - 1, "nobody is asked twice at a time"
    assert len(vendors.log("fal", "submit")) == 1, "an account without money is not asked again"
    given_up = run.steps.get(name="transcribe").output["given_up"]
    assert {name: row["kind"] for name, row in given_up.items()} == {"fal_whisperx": "quota", "deepgram": "transient"}


@pytest.mark.parametrize(
    ("fal", "expected"),
    [(402, ("quota", "vendor_quota")), (503, ("upstream_error", "vendor_unavailable"))],
    ids=["one of them has no money", "none answers"],
)
def test_with_all_three_down_the_end_names_what_a_person_can_do(
    process: Process, vendors: VendorServer, fal: int, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "FAILURES", 99)
    vendors.faults("fal", {"kind": "refuse", "status": fal, "op": "submit", **EVER})
    vendors.faults("deepgram", {"kind": "refuse", "status": 504, "op": "file", **EVER})
    vendors.faults("soniox", {"kind": "failed", "error_type": "internal_error", "op": "create", **EVER})
    run = process(FAL, DEEPGRAM, SONIOX)
    assert (run.outcome, run.message_id) == expected
    assert model() == "deepgram_streaming"
    assert kept_at_soniox(vendors) == 0, "jobs that failed are erased, too"
    attempt = run.steps.get(name="transcribe").history.order_by("-id").first()
    assert attempt is not None
    assert attempt.vendor in NAMES.values()


def test_money_that_ran_out_alarms_and_the_next_run_does_not_knock(
    process: Process, vendors: VendorServer, upload: Any, caplog: pytest.LogCaptureFixture
) -> None:
    vendors.faults("fal", {"kind": "refuse", "status": 402, "op": "submit", **EVER})
    process(FAL, DEEPGRAM)
    opened = [item.msg for item in caplog.records if "breaker_opened" in str(item.msg)]
    assert len(opened) == 1
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload(seed=5))
    runner.work(run.pk)
    assert len(vendors.log("fal", "submit")) == 1
    assert len(vendors.log("deepgram", "file")) == 2


def waiting(upload: Any, talk: Talk) -> PostProcessingRun:
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload(talk.path.read_bytes()))
    assert runner.work(run.pk) == "waiting"
    return run


def go_on(run: PostProcessingRun) -> PostProcessingRun:
    for _ in range(80):
        PostProcessingRun.objects.filter(pk=run.pk, state="waiting").update(due_at=timezone.now())
        runner.work(run.pk)
        run.refresh_from_db()
        if run.state == "finished":
            return run
    raise AssertionError(f"{run} did not end")


def test_canceling_a_run_cancels_its_job(
    process: Process, memory: Memory, upload: Any, talk: Talk, vendors: VendorServer
) -> None:
    vendors.faults("fal", {"kind": "stuck", "op": "submit"})
    run = waiting(upload, talk)
    service.cancel(run, actor="user")
    assert vendors.log("fal", "cancel") == [], "who cancels waits for no vendor"
    tasks.stop_jobs(run.pk)
    [cancel] = vendors.log("fal", "cancel")
    assert (cancel["method"], cancel["status"]) == ("PUT", 202)
    run.refresh_from_db()
    assert run.outcome == "canceled"


def test_a_cancel_that_comes_while_the_job_is_being_given_cancels_it_there(
    process: Process, memory: Memory, upload: Any, talk: Talk, vendors: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ticket is not stored any more then: nobody else could ever stop, poll or erase that job."""
    run = service.start("postprocess", UID, MEMORY, actor="test", audio=upload(talk.path.read_bytes()))

    def point(name: str) -> None:
        if name == "accepted":
            service.cancel(run, actor="user")

    monkeypatch.setattr(transcribe.fault_injection, "point", point)
    vendors.faults("fal", {"kind": "stuck", "op": "submit"})
    assert runner.work(run.pk) == "canceled"
    assert len(vendors.log("fal", "cancel")) == 1
    [call] = VendorCall.objects.all()
    assert (call.outcome, bool(call.reference)) == ("success", True), "it was taken, and may be billed"


def test_a_paid_job_is_fetched_though_its_vendor_has_no_money_left(
    process: Process, memory: Memory, upload: Any, talk: Talk, vendors: VendorServer
) -> None:
    """Another run's submit opened the breaker: what was paid for before that is not thrown away."""
    run = waiting(upload, talk)
    circuit_breaker.failed(ProviderError("fal_whisperx", "no money", kind=ErrorKind.QUOTA))
    assert (go_on(run).outcome, model()) == ("success", "fal_whisperx")
    assert vendors.log("deepgram", "file") == []
    with pytest.raises(ProviderError):
        circuit_breaker.admit("fal_whisperx")  # a result that was paid for earlier says nothing about new money


def test_a_job_under_way_is_heard_though_the_order_was_changed(
    process: Process, memory: Memory, upload: Any, talk: Talk, vendors: VendorServer, settings: Any
) -> None:
    run = waiting(upload, talk)
    settings.PROVIDERS = settings.PROVIDERS | {"prerecorded": [{"BACKEND": DEEPGRAM}, {"BACKEND": FAL}]}
    assert (go_on(run).outcome, model()) == ("success", "fal_whisperx")
    assert vendors.log("deepgram", "file") == []


def test_what_was_given_up_is_erased_with_the_memory(
    process: Process, vendors: VendorServer, upload: Any, talk: Talk
) -> None:
    """Its ticket is gone from the run; the ledger still knows the job."""
    vendors.faults("soniox", {"kind": "empty", "op": "create"}, {"kind": "refuse", "status": 503, "op": "delete"},
                   {"kind": "refuse", "status": 503, "op": "file_delete"})  # fmt: skip
    run = process(SONIOX, DEEPGRAM)
    assert (run.outcome, model()) == ("success", "deepgram_prerecorded")
    assert kept_at_soniox(vendors) > 0, "the vendor was away when it should have forgotten"
    with pytest.raises(ProviderError):
        service.forget_memory(UID, MEMORY)  # one of the two is still away: the erasure asks again later
    assert service.forget_memory(UID, MEMORY)["vendor_copies"] == 1
    assert kept_at_soniox(vendors) == 0


def test_a_job_that_failed_at_soniox_is_given_again_and_its_copies_go(process: Process, vendors: VendorServer) -> None:
    vendors.faults("soniox", {"kind": "failed", "error_type": "internal_error", "op": "create"})
    run = process(SONIOX)
    assert (run.outcome, model()) == ("success", "soniox_async")
    assert len(vendors.log("soniox", "create")) == 2
    assert kept_at_soniox(vendors) == 0
    assert calls("soniox", "transcribe") == ["success", "success"]
    assert VendorCall.objects.filter(run=run, duplicate=True).count() == 1
    assert fakes.CALLS == []
