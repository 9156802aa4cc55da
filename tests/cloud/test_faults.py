"""A vendor that is down, and a store that is away for a while: the path goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from demo.app import App
from demo.material import OTHER_MEMORIES, Material
from demo.vendors.server import VendorServer
from tests.cloud.deployment import Deployment
from tests.cloud.journey import PART, Journey, finished, travel, until, upload

pytestmark = pytest.mark.process


class TestVendorDown:
    """Deepgram's socket refuses everyone; fal's account is out of money."""

    def test_the_next_live_vendor_is_shown_and_nothing_is_missing(self, detour: Journey) -> None:
        kept = detour.transcripts()
        assert detour.live["active_transcript"] == "consensus"
        assert "deepgram_streaming" not in kept
        assert {"soniox_streaming", "speechmatics_streaming", "consensus"} <= set(kept)
        assert detour.word_error_rate(kept["consensus"]) < 0.05
        assert detour.word_error_rate(detour.heard.ordered()) < 0.05
        assert detour.word_error_rate(kept["soniox_streaming"]) < 0.05

    def test_the_next_prerecorded_vendor_takes_over_and_is_named(self, cloud: Deployment, detour: Journey) -> None:
        assert detour.run["outcome"] == "success", detour.run
        memory = detour.memory()
        kept = detour.transcripts()
        assert "fal_whisperx" not in kept
        added = set(kept) - {"soniox_streaming", "speechmatics_streaming", "consensus"}
        assert len(added) == 1, sorted(kept)
        assert added.pop().startswith("deepgram")
        assert memory["postprocessing"]["status"] == "completed"
        assert detour.word_error_rate(memory["transcript_segments"]) < 0.05

    def test_the_vendor_without_money_was_asked_once(self, detour: Journey) -> None:
        assert [entry["status"] for entry in detour.fal_jobs] == [403]


class TestFirestoreAway:
    """Firestore goes while fal is at work and comes back later: the run finishes by itself."""

    @pytest.fixture
    def slow_fal(self, cloud: Deployment) -> Iterator[VendorServer]:
        cloud.vendors.set(fal_seconds=6.0)
        yield cloud.vendors
        cloud.vendors.set(fal_seconds=1.0)

    def test_the_run_goes_on_where_it_stood(self, cloud: Deployment, slow_fal: VendorServer, recording: Path) -> None:
        uid, app = cloud.sign_in("outage")
        memory_id = _written(app)
        submitted = len(slow_fal.log("fal", "submit"))
        upload(app, memory_id, recording)
        until(app, memory_id, lambda run: run["state"] == "waiting" and run["step"] == "transcribe", 40)
        cloud.emulator.stop()
        try:
            job = slow_fal.wait("fal", "submit", lambda log: bool(log[submitted]["deliveries"]), 30)[submitted]
            assert job["deliveries"][0]["status"] == 200, "fal's callback needs no Firestore"
            _answers_503(cloud, app)
            _held_up(cloud, memory_id)
        finally:
            cloud.emulator.start()
        _answers_again(app)
        run = finished(app, memory_id, 90)
        assert run["outcome"] == "success", run
        assert run["message"]["id"] == "success", [step["assessment"] for step in run["steps"] if step["assessment"]]
        assert len(slow_fal.log("fal", "submit")) == submitted + 1, "the recording was paid for twice"
        document = cloud.firestore.document(f"users/{uid}/memories/{memory_id}").get().to_dict()
        assert document["postprocessing"]["status"] == "completed"
        assert document["active_transcript"] == "fal_whisperx"
        assert cloud.vectors([f"{uid}-{memory_id}"])


class TestRedisAway:
    """Redis carries nudges and keys, nothing else: without it all goes on, a little later."""

    def test_the_whole_path_works_without_it(self, cloud: Deployment, talk: Material, recording: Path) -> None:
        cloud.redis.stop()
        try:
            way = travel(cloud, talk, recording, "alone", seconds=PART, known=False)
        finally:
            cloud.redis.start()
        assert way.run["outcome"] == "success", way.run
        assert way.word_error_rate(way.heard.ordered()) < 0.05
        assert [event["type"] for event in way.events][-1] == "memory_post_processing_success"
        assert "new_memory_creating" in [event["type"] for event in way.heard.events]
        # Whether the callback is fal's cannot be known now; fal tries again, and the run has looked by itself.
        assert way.fal_jobs[0]["deliveries"][0]["status"] == 503


def _written(app: App) -> str:
    """A memory without live transcript of the talk: the app sends a text too short to be held against it."""
    began = datetime.now(UTC) - timedelta(minutes=5)
    segments: list[dict[str, Any]] = [
        {
            "text": " ".join(text.split()[:8]),
            "speaker": f"SPEAKER_{int(not mine):02d}",
            "is_user": mine,
            "start": n * 8.0,
            "end": n * 8.0 + 7,
        }
        for n, (mine, text) in enumerate(OTHER_MEMORIES[1][:1])
    ]
    body = {
        "started_at": began.isoformat(),
        "finished_at": (began + timedelta(seconds=80)).isoformat(),
        "transcript_segments": segments,
        "language": "en",
    }
    return str(app.call("POST", "/v1/memories?trigger_integrations=false", json=body)["memory"]["id"])


def _answers_503(cloud: Deployment, app: App) -> None:
    """Never a 404 (the app would drop the memory), never a 401, never a traceback."""
    began = time.monotonic()
    answer = app.http.get("/v1/memories")
    assert answer.status_code == 503, answer.text
    assert "Traceback" not in answer.text
    assert time.monotonic() - began < 25
    assert httpx.get(f"{cloud.running.url}/readyz", timeout=30).status_code == 503
    assert httpx.get(f"{cloud.running.url}/healthz", timeout=5).status_code == 200


def _answers_again(app: App) -> None:
    """Without a restart, as soon as the connection is made anew (gRPC waits a growing while between tries)."""
    deadline = time.monotonic() + 40
    while app.http.get("/v1/memories").status_code != 200:
        assert time.monotonic() < deadline, "the web process did not find Firestore again"
        time.sleep(0.5)


def _held_up(cloud: Deployment, memory_id: str) -> None:
    """The run has met the outage: it is put down for a later try, and has not ended."""
    query = (
        "from memories.pipeline.models import PostProcessingRun as R; "
        f"r = R.objects.filter(memory_id='{memory_id}', kind='postprocess').get(); "
        "print('RUN', r.state, r.steps.filter(checkpoint__store__isnull=False).count())"
    )
    deadline = time.monotonic() + 40
    while "RUN waiting 1" not in (said := cloud.printed(query)):
        assert "finished" not in said, said
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
