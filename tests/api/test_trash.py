"""The trash holds what its owner deleted, not what was discarded, and lets it be erased for good."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memories.models import MemoryRow
from memories.privacy import trash
from memories.repository import memories
from memories.shapes import Memory
from tests.api.conftest import Caller

Make = Callable[..., Memory]


@pytest.fixture
def deleted(make_memory: Make, alice: Caller, settings: Any) -> list[str]:
    settings.OMI_RESTORE_DAYS = 7
    made = [make_memory("alice").id for _ in range(3)]
    make_memory("alice", discarded=True)
    for memory_id in made:
        assert alice.delete(f"/v1/memories/{memory_id}").status_code == 204
    return made[::-1]


def listed(app: Caller, query: str = "") -> list[str]:
    answer = app.get(f"/v1/trash{query}")
    assert answer.status_code == 200, answer.content
    return [item["memory_id"] for item in answer.json()]


def test_the_trash_holds_what_was_deleted_and_pages_by_the_last_id(deleted: list[str], alice: Caller) -> None:
    assert listed(alice) == deleted
    assert listed(alice, "?limit=2") + listed(alice, f"?limit=2&before={deleted[1]}") == deleted
    first = alice.get("/v1/trash").json()[0]
    kept = datetime.fromisoformat(first["restorable_until"]) - datetime.fromisoformat(first["deleted_at"])
    assert (first["title"], kept) == ("Boat trip", timedelta(days=7))
    assert alice.send("POST", f"/v1/memories/{deleted[0]}/restore").status_code == 200
    assert listed(alice) == deleted[1:]


def test_what_is_over_or_a_strangers_is_not_there(deleted: list[str], alice: Caller, bob: Caller) -> None:
    assert listed(bob) == []
    for app, memory_id in ((bob, deleted[0]), (alice, "never-was")):
        assert app.delete(f"/v1/trash/{memory_id}").status_code == 404
        assert app.get(f"/v1/trash?before={memory_id}").status_code == 404
    late = datetime.now(UTC) - timedelta(days=7, seconds=1)
    memories.update_memory("alice", deleted[0], {"deleted_at": late}, unless_deleted=False)
    assert listed(alice) == deleted[1:]


def test_a_memory_is_erased_out_of_the_trash_and_only_out_of_it(
    deleted: list[str], alice: Caller, make_memory: Make
) -> None:
    assert alice.delete(f"/v1/trash/{deleted[0]}").status_code == 204
    assert listed(alice) == deleted[1:]
    assert not MemoryRow.objects.filter(memory_id=deleted[0]).exists()
    assert alice.send("POST", f"/v1/memories/{deleted[0]}/restore").status_code == 404
    alive = make_memory("alice").id
    assert alice.delete(f"/v1/trash/{alive}").status_code == 404
    assert alice.get(f"/v1/memories/{alive}").status_code == 200


def test_the_trash_is_emptied_some_with_each_request(
    deleted: list[str], alice: Caller, bob: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash, "ERASED_AT_ONCE", 2)
    assert bob.delete("/v1/trash").json() == {"erased": 0, "left": 0}
    assert listed(alice) == deleted
    assert alice.delete("/v1/trash").json() == {"erased": 2, "left": 1}
    assert listed(alice) == deleted[:1]
    assert alice.delete("/v1/trash").json() == {"erased": 1, "left": 0}
    assert len(alice.get("/v1/memories").json()) == 1
