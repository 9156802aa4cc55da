"""Words and action items through the API: changed, kept, undone; never somebody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memories.changes import making
from memories.repository import memories as repository
from memories.shapes import ActionItem, Memory, Structured
from tests.api.conftest import Caller

Make = Callable[..., Memory]
M = "/v1/memories/alice-memory-1"


@pytest.fixture
def memory(make_memory: Make) -> Memory:
    items = [ActionItem(description="Buy bread"), ActionItem(description="Call Anna")]
    return make_memory("alice", structured=Structured(title="Boat trip", action_items=items))


def texts(app: Caller) -> list[str]:
    return [item["text"] for item in app.get(M).json()["transcript_segments"]]


def test_a_sentence_is_corrected_twice_and_undone_in_any_order(memory: Memory, alice: Caller) -> None:
    for text in ("Fine.", " Very   good. "):
        answer = alice.send("PATCH", f"{M}/segments/s1/text", {"text": text})
        assert answer.status_code == 200, answer.content
    assert texts(alice)[1] == "Very good."
    assert alice.send("PATCH", f"{M}/segments/s1/text", {"text": "Very good."}).status_code == 200
    listed = alice.get(f"{M}/changes").json()
    assert [(item["before"], item["after"], item["state"]) for item in listed] == [
        ("Fine.", "Very good.", "active"), ("Good.", "Fine.", "active"),
    ]  # fmt: skip
    assert alice.send("POST", f"{M}/changes/{listed[1]['id']}/undo").json()["state"] == "undone"
    assert texts(alice)[1] == "Very good."
    for _ in range(2):
        assert alice.send("POST", f"{M}/changes/{listed[0]['id']}/undo").status_code == 200
    assert texts(alice) == [item.text for item in memory.transcript_segments]


def test_a_correction_is_told_to_those_who_learn_from_it(
    memory: Memory, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str]] = []
    kept = "memories.changes.making.corrections.text_changed"
    monkeypatch.setattr(kept, lambda uid, before, item, text: told.append((item.text, text)))
    alice.send("PATCH", f"{M}/segments/s1/text", {"text": "Goods."})
    alice.send("PATCH", f"{M}/segments/s1/text", {"text": "Goodness."})
    assert told == [("Good.", "Goods."), ("Good.", "Goodness.")]


def test_action_items_are_added_changed_and_deleted_and_each_is_undone(memory: Memory, alice: Caller) -> None:
    path = f"{M}/action-items"
    bread, anna = (item["id"] for item in alice.get(path).json())
    added = alice.send("POST", path, {"description": "Pack the bags", "due_at": "2026-12-01T09:00:00Z"}).json()
    assert alice.send("POST", path, {"description": "pack the bags!"}).json()["id"] == added["id"]
    done = alice.send("PATCH", f"{path}/{bread}", {"completed": True, "owner": "Bo", "description": "Buy rye bread"})
    assert done.json() == {
        "id": bread, "description": "Buy rye bread", "completed": True, "owner": "Bo", "due_at": None,
    }  # fmt: skip
    assert alice.delete(f"{path}/{anna}").status_code == 204
    assert alice.delete(f"{path}/{anna}").status_code == 404
    listed = [(item["id"], item["description"], item["completed"]) for item in alice.get(path).json()]
    assert listed == [(bread, "Buy rye bread", True), (added["id"], "Pack the bags", False)]
    shown = alice.get(M).json()["structured"]["action_items"]
    assert [item["description"] for item in shown] == ["Buy rye bread", "Pack the bags"]
    for change in alice.get(f"{M}/changes").json():
        assert alice.send("POST", f"{M}/changes/{change['id']}/undo").json()["state"] == "undone"
    assert repository.get_memory("alice", memory.id).structured.action_items == memory.structured.action_items


def test_tasks_that_are_said_in_much_the_same_words_are_each_kept(memory: Memory, alice: Caller) -> None:
    path = f"{M}/action-items"
    wanted = [f"Send the report to {name}" for name in ("Anna", "Bob", "Cleo")]
    for text in wanted:
        assert alice.send("POST", path, {"description": text}).status_code == 200
    listed = alice.get(path).json()
    assert [item["description"] for item in listed] == ["Buy bread", "Call Anna", *wanted]
    assert alice.delete(f"{path}/{listed[3]['id']}").status_code == 204
    assert [item["description"] for item in alice.get(path).json()][2:] == [wanted[0], wanted[2]]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("PATCH", f"{M}/segments/s1/text", {"text": " \n"}, 422),
        ("PATCH", f"{M}/segments/s1/text", {"text": "x" * 5001}, 422),
        ("PATCH", f"{M}/segments/s9/text", {"text": "x"}, 404),
        ("POST", f"{M}/action-items", {"description": "x", "more": 1}, 422),
        ("POST", f"{M}/action-items", {"description": "x", "due_at": "yesterday"}, 422),
        ("PATCH", f"{M}/action-items/ai_none", {"completed": True}, 404),
        ("POST", f"{M}/changes/ch_none/undo", None, 404),
    ],
)
def test_what_does_not_fit_is_refused(
    memory: Memory, alice: Caller, method: str, path: str, body: object, code: int
) -> None:
    assert alice.send(method, path, body).status_code == code
    assert alice.get(f"{M}/changes").json() == []


def test_operations_of_a_memory_are_bounded_and_undone_ones_make_room(
    memory: Memory, alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making.rules, "MOST_CHANGES", 2)
    for text in ("a", "b"):
        assert alice.send("PATCH", f"{M}/segments/s1/text", {"text": text}).status_code == 200
    assert alice.send("PATCH", f"{M}/segments/s1/text", {"text": "c"}).status_code == 409
    assert texts(alice)[1] == "b"
    first = alice.get(f"{M}/changes").json()[-1]["id"]
    alice.send("POST", f"{M}/changes/{first}/undo")
    assert alice.send("PATCH", f"{M}/segments/s1/text", {"text": "c"}).status_code == 200
    assert first not in [item["id"] for item in alice.get(f"{M}/changes").json()]
