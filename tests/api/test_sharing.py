"""A stranger sees what the owner shows, by a list of what may be seen: nothing else, whatever a memory holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from memories import editing
from memories.repository import memories as repository
from memories.shapes import Memory, PluginResult, PostProcessing
from omi.stores.documents import documents
from speakers import people
from tests.api.conftest import Caller

SEEN = {"id", "created_at", "started_at", "finished_at", "language", "structured", "transcript_segments", "photos",
        "visibility", "source"}  # fmt: skip


@pytest.fixture
def shared(alice: Caller, make_memory: Callable[..., Memory]) -> Memory:
    memory = make_memory(
        geolocation={"latitude": 1.5, "longitude": 2.5, "address": "Harbour 1"},
        plugins_results=[PluginResult(plugin_id="diary", content="plug-in secret")],
        external_data={"secret": "external secret"},
        postprocessing=PostProcessing(status="completed", run_id="77123", message_id="m"),
        recording="recording.wav", accounting={"cost": 1}, processing_memory_id="p-secret", emotional_feedback=True,
        active_transcript="fal_whisperx", active_version="v-secret",
    )  # fmt: skip
    documents().update(f"users/alice/memories/{memory.id}", {"unknown_field": "unknown secret"})
    person = people.create_person("alice", "David")
    editing.assign_segments("alice", memory.id, ["s0"], editing.Decision(person_id=person.id))
    editing.set_events_created("alice", memory.id, {0: True})
    alice.send("PATCH", f"/v1/memories/{memory.id}/visibility?value=public")
    return repository.get_memory("alice", memory.id)


@pytest.mark.parametrize("path", ["/v1/memories/{id}/shared", "/v1/public-memories"])
def test_strangers_see_what_is_on_the_list_and_defaults_else(shared: Memory, path: str) -> None:
    answer = Client().get(path.format(id=shared.id)).json()
    told: dict[str, Any] = answer[0] if isinstance(answer, list) else answer
    defaults = Memory(id="x", created_at=shared.created_at).model_dump(mode="json")
    assert {name for name in told if told[name] != defaults.get(name)} <= SEEN
    assert set(told) == set(defaults)  # the app reads all of them
    assert [item["text"] for item in told["transcript_segments"]] == [x.text for x in shared.transcript_segments]
    assert told["structured"]["title"] == "Boat trip"
    assert told["structured"]["events"][0]["created"] is False
    for segment in told["transcript_segments"]:
        assert (segment["person_id"], segment["stt_provider"]) == (None, None)


@pytest.mark.parametrize("path", ["/v1/memories/{id}/shared", "/v1/public-memories"])
def test_nothing_of_the_owner_shows_through(shared: Memory, path: str) -> None:
    text = Client().get(path.format(id=shared.id)).content.decode()
    person = shared.transcript_segments[0].person_id
    assert person
    for secret in (person, "77123", "plug-in secret", "external secret", "unknown secret", "Harbour", "p-secret",
                   "recording.wav", "v-secret", "alice\"", "David"):  # fmt: skip
        assert secret not in text


def test_the_owner_still_sees_it_all(alice: Caller, shared: Memory) -> None:
    told = alice.get(f"/v1/memories/{shared.id}").json()
    assert told["unknown_field"] == "unknown secret"
    assert told["plugins_results"][0]["content"] == "plug-in secret"
