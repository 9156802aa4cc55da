"""The whole path of one user over the wire, as the demo and the app walk it; the tests look at what it left where."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import material, measure
from demo.app import App, Heard, stream
from demo.material import Material
from tests.cloud.deployment import Deployment
from tests.support.sound import write_wav

Json = dict[str, Any]
SPEED = 12.0
"""Times real time at which the talk is streamed."""
PART = 35.6
"""Seconds of the talk in which everybody has spoken, and nobody is at it."""


@dataclass(frozen=True)
class Journey:
    uid: str
    app: App
    people: dict[str, str]
    heard: Heard
    memory_id: str
    live: Json
    run: Json
    events: list[Json]
    fal_jobs: list[Json]
    words: list[Json]

    def memory(self) -> Json:
        return dict(self.app.call("GET", f"/v1/memories/{self.memory_id}"))

    def transcripts(self) -> dict[str, list[Json]]:
        versions = self.app.call("GET", f"/v1/memories/{self.memory_id}/transcripts/versions")
        return {version["model"]: version["segments"] for version in versions}

    def word_error_rate(self, segments: list[Json]) -> float:
        rate = measure.word_error_rate(
            [piece for word in self.words for piece in measure.normalise(word["word"])],
            measure.normalise(" ".join(segment["text"] for segment in segments)),
        )
        assert rate is not None
        return rate


def travel(
    cloud: Deployment, talk: Material, recording: Path, name: str, *, seconds: float | None = None, known: bool = True
) -> Journey:
    """``seconds`` of the talk are had, or all of it; by people whose voices are ``known``."""
    uid, app = cloud.sign_in(name)
    app.call("POST", "/v1/users/store-recording-permission", params={"value": "true"})
    app.call("POST", "/v1/users/fcm-token", json={"fcm_token": f"phone-of-{uid}", "time_zone": "Europe/Berlin"})
    people = enrol(app, talk, recording.parent) if known else {}
    before = len(cloud.vendors.log("fal", "submit"))
    pcm, words = material.pcm(talk.recording), talk.words
    if seconds is not None:
        pcm, words = pcm[: round(seconds * 16_000) * 2], [word for word in words if word["end"] <= seconds]
        recording = write_wav(recording.with_name(f"{name}.wav"), pcm)
    heard = stream(cloud.running.url, app.token, pcm, speed=SPEED, on_segment=lambda segment: None)
    memory_id = created(app)
    live = app.call("GET", f"/v1/memories/{memory_id}")
    upload(app, memory_id, recording)
    run = finished(app, memory_id)
    events: list[Json] = []
    app.wait_for_event({"memory_post_processing_success", "memory_post_processing_failed"}, 0, 30, events.append)
    jobs = cloud.vendors.log("fal", "submit")[before:]
    return Journey(uid, app, people, heard, memory_id, live, run, events, jobs, words)


def enrol(app: App, talk: Material, folder: Path) -> dict[str, str]:
    """The user's voice and the known people's. Returns name to person id."""
    assert talk.enrol_user is not None
    app.upload("/v3/upload-audio", _wav(talk.enrol_user, folder))
    people = {}
    for name, sample in talk.people.items():
        people[name] = app.call("POST", "/v1/users/people", json={"name": name})["id"]
        app.upload(f"/v1/users/people/{people[name]}/samples", _wav(sample, folder))
    return people


def created(app: App, timeout: float = 60.0) -> str:
    event = app.wait_for_event({"new_memory_created", "new_memory_create_failed"}, 0, timeout, lambda event: None)
    assert event["type"] == "new_memory_created", event
    return str(event["memory_id"])


def upload(app: App, memory_id: str, recording: Path) -> Json:
    where = f"/v1/memories/{memory_id}/post-processing"
    answer: Json = app.upload(where, recording, params={"emotional_feedback": "true"})
    assert answer["postprocessing"]["status"] == "in_progress", answer["postprocessing"]
    return answer


def finished(app: App, memory_id: str, timeout: float = 90.0) -> Json:
    return until(app, memory_id, lambda run: bool(run["state"] == "finished"), timeout)


def until(app: App, memory_id: str, reached: Any, timeout: float) -> Json:
    """Poll the status as the app does until ``reached(run)``."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        run: Json = app.call("GET", f"/v1/memories/{memory_id}/post-processing")
        if reached(run):
            return run
        time.sleep(0.3)
    raise AssertionError(f"not within {timeout:.0f} s: {run}")


def _wav(recording: Path, folder: Path) -> Path:
    return write_wav(folder / f"{recording.stem}.wav", material.pcm(recording))
