"""A deleted memory comes back for as long as the deployment says, to its owner alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from memories.pipeline.models import PostProcessingRun
from memories.repository import memories
from memories.shapes import Memory
from tests.api.conftest import Caller

Make = Callable[..., Memory]
M = "/v1/memories/alice-memory-1"


@pytest.fixture
def deleted(make_memory: Make, alice: Caller, settings: Any) -> Memory:
    settings.OMI_RESTORE_DAYS = 7
    memory = make_memory("alice")
    assert alice.delete(M).status_code == 204
    assert alice.get(M).status_code == 404
    return memory


def test_the_owner_brings_it_back_as_it_was_and_its_vector_is_made_again(deleted: Memory, alice: Caller) -> None:
    answer = alice.send("POST", f"{M}/restore")
    assert answer.status_code == 200
    assert answer.json()["transcript_segments"] == deleted.model_dump(mode="json")["transcript_segments"]
    assert answer.json()["deleted"] is False
    assert [memory["id"] for memory in alice.get("/v1/memories").json()] == [deleted.id]
    run = PostProcessingRun.objects.get(memory_id=deleted.id)
    assert (run.kind, run.reason) == ("reprocess", "restored")
    assert alice.send("POST", f"{M}/restore").status_code == 404  # nothing to restore


def test_a_stranger_restores_nothing(deleted: Memory, bob: Caller, alice: Caller) -> None:
    assert bob.send("POST", f"{M}/restore").status_code == 404
    assert Client().post(f"{M}/restore").status_code == 401
    assert alice.get(M).status_code == 404


def test_its_time_is_over_to_the_day_even_before_the_schedule_comes(deleted: Memory, alice: Caller) -> None:
    late = datetime.now(UTC) - timedelta(days=7, seconds=1)
    memories.update_memory("alice", deleted.id, {"deleted_at": late}, unless_deleted=False)
    assert alice.send("POST", f"{M}/restore").status_code == 404


@pytest.mark.usefixtures("db")
def test_without_the_setting_deletion_is_for_good(make_memory: Make, alice: Caller) -> None:
    make_memory("alice")
    assert alice.send("POST", f"{M}/restore").status_code == 404
    assert alice.delete(M).status_code == 204
    assert alice.send("POST", f"{M}/restore").status_code == 404
