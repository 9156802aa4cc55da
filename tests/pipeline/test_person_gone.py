"""The results that runs keep name nobody who was deleted, whenever in a run it happened."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from memories import editing
from memories.pipeline import service
from memories.pipeline.engine import deleted_people
from memories.pipeline.models import PostProcessingRun, RunStep, StepArtifact
from memories.privacy import person_forgetting
from memories.repository import memories as repository
from memories.shapes import Memory
from speakers import people
from tests.pipeline import fakes
from tests.pipeline.conftest import MEMORY, UID
from transcription.segments import Segment

Drive = Callable[..., PostProcessingRun]
pytestmark = pytest.mark.django_db
SAID = " ".join(f"one{index}" for index in range(14))


@pytest.fixture
def anna(memory: Memory) -> str:
    """A person whom the user named in the memory."""
    identity = people.create_person(UID, "Anna").id
    live = Segment(id="live-1", text=SAID, start=1.0, end=7.0)
    repository.update_memory(UID, MEMORY, {"transcript_segments": [live]})
    editing.assign_segments(UID, MEMORY, ["live-1"], editing.Decision(person_id=identity))
    return identity


@pytest.fixture
def run(anna: str, upload: Any, heard: Any) -> PostProcessingRun:
    fakes.SCRIPT["first"] = [fakes.words(SAID + " two three", start=1.0)]
    return service.start("postprocess", UID, MEMORY, actor="test", audio=upload())


def kept() -> str:
    """Everything that runs keep: results, outputs and what is remembered between two claims."""
    texts = [zlib.decompress(bytes(body)).decode() for body in StepArtifact.objects.values_list("body", flat=True)]
    return "\n".join([*texts, *(f"{step.output} {step.checkpoint} {step.note}" for step in RunStep.objects.all())])


def test_a_finished_runs_results_are_cleared(run: PostProcessingRun, anna: str, drive: Drive) -> None:
    drive(run)
    assert anna in kept()
    before = kept().count("one13")
    people.delete_person(UID, anna)
    assert anna not in kept()
    assert kept().count("one13") == before, "what was said stays"


def test_what_the_request_had_no_time_for_is_cleared_by_a_worker(
    run: PostProcessingRun, anna: str, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    drive(run)
    monkeypatch.setattr(person_forgetting, "AT_ONCE", -1.0)
    people.delete_person(UID, anna)
    assert anna in kept()
    assert person_forgetting.forget(UID, anna)
    assert anna not in kept()


def test_a_damaged_result_keeps_nobody_from_being_cleared(run: PostProcessingRun, anna: str, drive: Drive) -> None:
    drive(run)
    damaged = StepArtifact.objects.create(step=run.steps.get(name="publish"), name="segments", sha256="", body=b"x")
    people.delete_person(UID, anna)
    damaged.delete()
    assert anna not in kept()


def test_a_run_with_its_segments_in_hand_writes_no_name_of_who_was_deleted(
    run: PostProcessingRun, anna: str, drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, held = deleted_people.leave_out, []

    def frozen(uid: str, artifacts: Any) -> None:
        bodies = [zlib.decompress(item.body).decode() for item in artifacts if item.name == "segments"]
        if not held and any(anna in body for body in bodies):
            held.append(anna)
            people.delete_person(UID, anna)
        real(uid, artifacts)

    monkeypatch.setattr(deleted_people, "leave_out", frozen)
    drive(run)
    assert held == [anna]
    assert anna not in kept()
    after = repository.get_memory(UID, MEMORY)
    assert after.active_transcript == "first_model"
    assert {item.person_id for item in after.transcript_segments} == {None}
