"""A user's templates, the choice for a memory, and the run that fills its sections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from memories import editing
from memories.pipeline import service
from memories.pipeline.models import PostProcessingRun
from memories.privacy import erasure
from memories.registry import records
from memories.repository import memories as repository
from memories.shapes import Memory
from memories.templates import store
from omi.core.errors import ErrorKind, ProviderError
from tests.api.conftest import Caller, segment
from tests.pipeline import fakes

Make = Callable[..., Memory]
Drive = Callable[[PostProcessingRun], PostProcessingRun]
OWN = {"name": "Harbour", "sections": [{"heading": "Boats", "instruction": "boats and sails"}, {"heading": "Bread"}]}
TALK = [
    segment("s0", "We decided to repair the roof before the winter.", "SPEAKER_00", 0, 4),
    segment("s1", "Who can call the insurance company about the damage?", "SPEAKER_01", 5, 9),
    segment("s2", "My old boat lies in the harbour with torn sails.", "SPEAKER_00", 10, 14),
]


@pytest.fixture
def memory(make_memory: Make, settings: Any) -> Memory:
    settings.OMI_RETRIES_PER_DAY = 50
    settings.PROVIDERS = {
        **settings.PROVIDERS,
        "structurer": {"BACKEND": "memories.structuring.local.LocalStructurer"},
        "embedder": {"BACKEND": "tests.pipeline.fakes.FakeEmbedder"},
    }
    return make_memory(transcript_segments=TALK)


def made(app: Caller, **changes: Any) -> str:
    answer = app.send("POST", "/v1/templates", {**OWN, **changes})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["id"])


def choose(app: Caller, memory: Memory, template: str | None) -> Any:
    return app.send("PUT", f"/v1/memories/{memory.id}/template", {"template_id": template})


def run_of(drive: Drive, memory: Memory) -> PostProcessingRun:
    run = PostProcessingRun.objects.filter(memory_id=memory.id).latest("pk")
    return drive(run)


def sections(memory: Memory) -> dict[str, list[str]]:
    now = repository.get_memory("alice", memory.id).structured
    return {section.heading: [point.text for point in section.points] for section in now.sections}


def test_the_built_in_templates_are_there_and_ones_own_are_made_changed_and_deleted(alice: Caller) -> None:
    every = alice.get("/v1/templates").json()
    assert [item["id"] for item in every] == ["meeting", "lecture", "doctor", "brainstorm", "diary"]
    assert all(item["built_in"] and item["sections"] for item in every)
    own = made(alice)
    assert made(alice) == own
    assert alice.send("POST", "/v1/templates", {**OWN, "sections": [{"heading": "x"}]}).status_code == 409
    other = made(alice, name="Other")
    assert alice.send("PUT", f"/v1/templates/{other}", OWN).status_code == 409
    changed = alice.send("PUT", f"/v1/templates/{own}", {"name": "Port", "sections": [{"heading": "Ships"}]}).json()
    assert (changed["name"], changed["sections"]) == ("Port", [{"heading": "Ships", "instruction": ""}])
    for name in ("meeting", "st_gone"):
        assert alice.send("PUT", f"/v1/templates/{name}", OWN).status_code == 404
        assert alice.delete(f"/v1/templates/{name}").status_code == 404
    assert alice.delete(f"/v1/templates/{own}").status_code == 204
    assert [item["name"] for item in alice.get("/v1/templates").json()][5:] == ["Other"]


@pytest.mark.parametrize(
    "body",
    [{}, {"name": "x"}, {"name": "", "sections": [{"heading": "x"}]}, {"name": "x", "sections": []},
     {"name": "x", "sections": [{"heading": "x"}] * 13}, {"name": "x", "sections": [{"heading": "x" * 61}]},
     {"name": "x", "sections": [{"heading": "x", "instruction": "y" * 301}]},
     {"name": "x", "sections": [{"heading": "x", "rule": "gist"}]}],
)  # fmt: skip
def test_what_does_not_fit_is_refused(alice: Caller, body: dict[str, Any]) -> None:
    assert alice.send("POST", "/v1/templates", body).status_code == 422


def test_templates_are_bounded_and_ones_own(alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_TEMPLATES", 1)
    own = made(alice)
    assert alice.send("POST", "/v1/templates", {**OWN, "name": "Other"}).status_code == 409
    assert bob.send("PUT", f"/v1/templates/{own}", OWN).status_code == 404
    assert bob.delete(f"/v1/templates/{own}").status_code == 404
    assert bob.send("PUT", "/v1/templates/default", {"category": "work", "template_id": own}).status_code == 404
    assert len(bob.get("/v1/templates").json()) == 5


def test_a_memory_is_put_into_the_sections_of_the_template_that_is_chosen(
    alice: Caller, memory: Memory, drive: Drive
) -> None:
    assert choose(alice, memory, "meeting").status_code == 200
    assert run_of(drive, memory).outcome == "success"
    assert sections(memory)["Decisions"] == [TALK[0].text]
    assert sections(memory)["Open questions"] == [TALK[1].text]
    now = repository.get_memory("alice", memory.id)
    assert now.structured.template
    assert (now.structured.template.id, now.structured.template.name) == ("meeting", "Meeting")
    assert (now.structured.title, now.structured.overview) == ("Boat trip", "They plan a boat trip.")
    assert [item.title for item in now.structured.events] == ["Boat trip"]
    assert records.of_memory("alice", memory.id)["sections"]["version"] == "meeting"
    assert "structure" not in records.of_memory("alice", memory.id)
    own = made(alice)
    choose(alice, memory, own)
    run_of(drive, memory)
    assert sections(memory)["Boats"] == [TALK[2].text]
    choose(alice, memory, "none")
    run_of(drive, memory)
    assert sections(memory) == {}
    assert repository.get_memory("alice", memory.id).structured.template is None


def test_the_choice_and_its_sections_survive_later_runs_and_the_end_of_the_template(
    alice: Caller, memory: Memory, drive: Drive
) -> None:
    own = made(alice)
    choose(alice, memory, own)
    run_of(drive, memory)
    editing.set_texts("alice", memory.id, {"title": "Mine"})
    assert alice.send("POST", f"/v1/memories/{memory.id}/reprocess").status_code == 200
    run_of(drive, memory)
    now = repository.get_memory("alice", memory.id)
    assert (now.structured.title, sections(memory)["Boats"]) == ("Mine", [TALK[2].text])
    assert "structure" in records.of_memory("alice", memory.id)
    alice.delete(f"/v1/templates/{own}")
    drive(service.start("reprocess", "alice", memory.id, actor="test", options={"force": True, "again": 1}))
    now = repository.get_memory("alice", memory.id)
    assert now.structured.template
    assert (now.structured.template.name, sections(memory)["Boats"]) == ("Harbour", [TALK[2].text])


def test_a_category_has_a_template_until_a_memory_says_otherwise(alice: Caller, memory: Memory, drive: Drive) -> None:
    repository.mutate_memory(
        "alice", memory.id, lambda found: {"edits": found.edits.model_copy(update={"category": "health"})}
    )
    told = alice.send("PUT", "/v1/templates/default", {"category": "health", "template_id": "diary"}).json()
    assert [item["id"] for item in told if item["categories"] == ["health"]] == ["diary"]
    alice.send("POST", f"/v1/memories/{memory.id}/reprocess")
    run_of(drive, memory)
    assert "What happened" in sections(memory)
    choose(alice, memory, "none")
    run_of(drive, memory)
    assert sections(memory) == {}
    choose(alice, memory, None)
    run_of(drive, memory)
    assert "What happened" in sections(memory)
    alice.send("PUT", "/v1/templates/default", {"category": "health", "template_id": None})
    alice.send("POST", f"/v1/memories/{memory.id}/reprocess")
    run_of(drive, memory)
    assert sections(memory) == {}
    for body in ({"category": "nonsense", "template_id": "diary"}, {"category": "work"}):
        assert alice.send("PUT", "/v1/templates/default", body).status_code == 422
    assert alice.send("PUT", "/v1/templates/default", {"category": "work", "template_id": "st_x"}).status_code == 404


def test_the_same_choice_twice_is_one_run_and_what_is_not_there_is_404(
    alice: Caller, bob: Caller, memory: Memory, settings: Any
) -> None:
    choose(alice, memory, "meeting")
    choose(alice, memory, "meeting")
    choose(alice, memory, "diary")
    runs = PostProcessingRun.objects.filter(memory_id=memory.id, cancel_requested=False)
    assert [run.options["template"] for run in runs.exclude(state="finished").order_by("pk")] == ["meeting", "diary"]
    assert choose(bob, memory, "meeting").status_code == 404
    assert choose(alice, memory, "st_gone").status_code == 404
    settings.OMI_RETRIES_PER_DAY = 1
    answer = choose(alice, memory, "lecture")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"]
    assert repository.get_memory("alice", memory.id).edits.template_id == "diary"


def test_where_the_model_fails_the_sections_are_filled_by_rules(
    alice: Caller, memory: Memory, drive: Drive, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    def refuses(*_: Any) -> None:
        raise ProviderError("fake", "no", kind=ErrorKind.PERMANENT, code="refusal")

    settings.PROVIDERS = {**settings.PROVIDERS, "structurer": {"BACKEND": "tests.pipeline.fakes.FakeStructurer"}}
    monkeypatch.setattr(fakes.FakeStructurer, "fill", refuses, raising=False)
    choose(alice, memory, "meeting")
    assert run_of(drive, memory).outcome == "success"
    now = repository.get_memory("alice", memory.id)
    assert now.structured.template
    assert now.structured.template.method == "extractive"
    assert sections(memory)["Decisions"] == [TALK[0].text]


def test_sections_are_in_the_files_and_in_no_strangers_answer(alice: Caller, memory: Memory, drive: Drive) -> None:
    choose(alice, memory, "meeting")
    run_of(drive, memory)
    path = f"/v1/memories/{memory.id}"
    assert f"## Decisions\n\n- {TALK[0].text}" in alice.get(f"{path}/download/md").content.decode()
    assert f"Decisions\n- {TALK[0].text}" in alice.get(f"{path}/download/txt").content.decode()
    alice.send("PATCH", f"{path}/visibility?value=shared")
    shown = alice.client.get(f"{path}/shared").json()["structured"]
    assert (shown["sections"], shown["template"]) == ([], None)


def test_templates_are_exported_and_erased(alice: Caller) -> None:
    own = made(alice)
    assert f"templates/{own}.json".encode() in b"".join(alice.get("/v1/users/export"))
    erasure.erase_user("alice")
    assert erasure.verify_user_erased("alice") == {}
    assert store.own("alice") == []
