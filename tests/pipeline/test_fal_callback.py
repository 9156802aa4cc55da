"""fal calls back: from the vendor's signed POST through our HTTP route to the run that goes on; and without it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from demo.vendors.server import VendorServer
from memories.models import VendorCallback
from memories.pipeline import runner, service, tasks
from memories.pipeline.models import PostProcessingRun
from memories.shapes import Memory
from tests.pipeline.conftest import MEMORY, UID
from tests.pipeline.vendor_run import Process, model, process
from tests.support.vendor_fixtures import Talk, talk, vendor_server, vendors

__all__ = ["process", "talk", "vendor_server", "vendors"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def public(live_server: Any, process: Process, vendors: VendorServer, settings: Any) -> VendorServer:
    """The simulated fal, which reaches our server from outside, and the real adapters."""
    cache.clear()  # keys of another test's vendor
    settings.OMI_PUBLIC_URL = live_server.url
    vendors.set(scale=0.0003)  # a callback that was refused is repeated every 0.2 s instead of every 12 minutes
    return vendors


@pytest.fixture
def run(public: VendorServer, memory: Memory, upload: Any, talk: Talk) -> PostProcessingRun:
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload(talk.path.read_bytes()))


def asleep(run: PostProcessingRun) -> PostProcessingRun:
    """The job was given, and the run would not look by itself for twenty minutes."""
    assert runner.work(run.pk) == "waiting"
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now() + timedelta(minutes=20))
    assert runner.work(run.pk) == "not_claimed"
    return run


def delivered(vendors: VendorServer, count: int = 1) -> list[dict[str, Any]]:
    log = vendors.wait("fal", "submit", lambda log: len(log[-1]["deliveries"]) >= count, seconds=10)
    answers: list[dict[str, Any]] = log[-1]["deliveries"]
    return answers


def due(run: PostProcessingRun) -> bool:
    run.refresh_from_db()
    return run.due_at is not None and run.due_at <= timezone.now()


def test_the_signed_callback_wakes_the_run_and_one_look_ends_it(run: PostProcessingRun, public: VendorServer) -> None:
    public.set(fal_seconds=0.6)
    asleep(run)
    assert delivered(public)[0]["status"] == 200
    assert due(run)
    assert runner.work(run.pk) == "finished"
    assert model() == "fal_whisperx"
    assert len(public.log("fal", "status")) == 1, "nobody polled before the callback"
    [submit] = public.log("fal", "submit")
    assert "/v1/vendors/audio/" in json.loads(submit["text"])["audio_url"], "fetched from us by its signed address"
    assert VendorCallback.objects.get().runs == 1


def test_the_same_callback_twice_wakes_once(run: PostProcessingRun, public: VendorServer) -> None:
    """The result twice."""
    public.set(fal_seconds=0.6)
    public.faults("fal", {"kind": "webhook", "mode": "twice", "op": "submit"})
    asleep(run)
    assert [item["status"] for item in delivered(public, 2)] == [200, 200]
    assert VendorCallback.objects.count() == 1
    assert due(run)


@pytest.mark.parametrize("mode", ["bad_signature", "unsigned", "old"])
def test_what_fal_did_not_sign_now_is_refused_and_the_run_looks_by_itself(
    run: PostProcessingRun, public: VendorServer, mode: str
) -> None:
    public.faults("fal", {"kind": "webhook", "mode": mode, "op": "submit"})
    asleep(run)
    assert {item["status"] for item in delivered(public, 2)} == {401}
    assert not due(run)
    assert not VendorCallback.objects.exists()
    PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())  # its own time to look has come
    assert runner.work(run.pk) == "finished"
    assert model() == "fal_whisperx"


def test_a_callback_about_a_job_that_is_not_ours_wakes_nobody(run: PostProcessingRun, public: VendorServer) -> None:
    public.set(fal_seconds=0.6)
    public.faults("fal", {"kind": "webhook", "mode": "other_id", "op": "submit"})
    asleep(run)
    assert delivered(public)[0]["status"] == 200
    assert not due(run)


def test_a_callback_that_never_comes_costs_only_the_time_until_the_next_look(
    run: PostProcessingRun, public: VendorServer
) -> None:
    public.faults("fal", {"kind": "webhook", "mode": "never", "op": "submit"})
    assert runner.work(run.pk) == "waiting"
    for _ in range(60):
        run.refresh_from_db()
        if run.state == "finished":
            break
        assert run.due_at is not None
        assert run.due_at - timezone.now() < timedelta(seconds=31), "a lost callback delays by half a minute at most"
        PostProcessingRun.objects.filter(pk=run.pk).update(due_at=timezone.now())
        runner.work(run.pk)
    assert (run.outcome, model()) == ("success", "fal_whisperx")
    assert public.log("fal", "submit")[0]["deliveries"] == []


def test_a_callback_after_the_cancel_changes_nothing(run: PostProcessingRun, public: VendorServer) -> None:
    """A late callback after cancel. The job had ended, so that it could not be stopped any more."""
    public.faults("fal", {"kind": "webhook", "mode": "late", "seconds": 1.5, "op": "submit"})
    asleep(run)
    public.wait(
        "fal", "submit", lambda _: next(iter(public.state.store["fal"]["jobs"].values()))["state"] == "COMPLETED"
    )
    service.cancel(run, actor="user")
    tasks.stop_jobs(run.pk)
    assert public.log("fal", "cancel")[0]["status"] == 400
    assert delivered(public)[0]["status"] == 200
    run.refresh_from_db()
    assert (run.state, run.outcome, model()) == ("finished", "canceled", "deepgram_streaming")


def test_while_fals_keys_cannot_be_had_it_is_asked_to_come_again(run: PostProcessingRun, public: VendorServer) -> None:
    public.set(fal_seconds=0.6)
    public.faults("fal", {"kind": "refuse", "status": 503, "op": "jwks"})
    asleep(run)
    assert [item["status"] for item in delivered(public, 2)] == [503, 200]
    assert due(run)
