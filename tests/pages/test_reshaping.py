"""Merging, splitting and undoing in the browser."""

from __future__ import annotations

import re
from typing import Any

from memories.repository import memories as repository
from memories.reshaping.models import Reshaping
from memories.shapes import Memory
from tests.pages.conftest import Visitor
from tests.reshaping.conftest import Make, _quick_embedding, make, pair, said, worked

__all__ = ["_quick_embedding", "make", "pair"]


def to(visitor: Visitor, answer: Any) -> tuple[Reshaping, str]:
    """The reshaping that a form leads to, and its page."""
    assert answer.status_code == 302, answer.content
    path = answer.headers["Location"]
    row = Reshaping.objects.get(pk=path.rsplit("/", 1)[1])
    return row, visitor.get(path).content.decode()


def test_chosen_on_the_timeline_merged_and_undone(alice: Visitor, pair: list[Memory]) -> None:
    assert "checkbox" not in alice.get("/app").content.decode()
    chosen = re.findall(r'name="memory" value="(\w+)"', alice.get("/app?choose=true").content.decode())
    assert chosen == ["two", "one"]
    row, page = to(alice, alice.post("/app/merge", {"memory": chosen}))
    assert 'http-equiv="refresh"' in page
    worked(row)
    page = alice.get(f"/app/reshapings/{row.pk}").content.decode()
    assert "One memory now" in page
    assert 'http-equiv="refresh"' not in page
    (memory,) = repository.list_memories("alice").memories
    assert alice.get("/app/memories/one").headers["Location"] == f"/app/memories/{memory.id}"
    assert f"/app/reshapings/{row.pk}/undo" in alice.get(f"/app/memories/{memory.id}").content.decode()
    assert "2 memories became one" in alice.get("/app/reshapings").content.decode()
    worked(to(alice, alice.post(f"/app/reshapings/{row.pk}/undo"))[0])
    assert "Everything is as it was" in alice.get(f"/app/reshapings/{row.pk}").content.decode()
    assert {item.id for item in repository.list_memories("alice").memories} == {"one", "two"}


def test_one_box_is_too_few(alice: Visitor, pair: list[Memory]) -> None:
    answer = alice.post("/app/merge", {"memory": ["one"]})
    assert answer.headers["Location"] == "/app?choose=true"
    assert "Choose two memories or more." in alice.get("/app?choose=true").content.decode()
    assert not Reshaping.objects.exists()


def test_split_at_a_passage_after_a_question(alice: Visitor, pair: list[Memory]) -> None:
    path = "/app/memories/one/split"
    assert f"{path}?segment=a1" in alice.get("/app/memories/one/voice?segment=a1").content.decode()
    asked = alice.get(f"{path}?segment=a1").content.decode()
    assert "We take the boat on Sunday." in asked
    assert "Bring the yellow jackets." in asked
    assert "Each of the two memories must have words." in alice.get(f"{path}?segment=a0").content.decode()
    assert alice.get(f"{path}?segment=none").status_code == 404
    row, _ = to(alice, alice.post(path, {"segment": "a1"}))
    worked(row)
    assert "Two memories now" in alice.get(f"/app/reshapings/{row.pk}").content.decode()


def test_a_refusal_says_why(alice: Visitor, make: Make) -> None:
    make("one", 0, said("a", "Hello."))
    make("two", 2000, said("b", "Bye."))
    answer = alice.post("/app/merge", {"memory": ["one", "two"]})
    assert (answer.status_code, b"24 hours" in answer.content) == (409, True)


def test_voices_become_one_or_two_on_the_page_of_a_passage(alice: Visitor, pair: list[Memory]) -> None:
    base = "/app/memories/one"
    shown = alice.get(f"{base}/voice?segment=a0").content.decode()
    assert re.findall(r'<option value="(\w+)">', shown) == ["SPEAKER_01"]
    assert re.findall(r'name="segment" value="(\w+)"( checked)?>', shown)[1:] == [("a0", " checked"), ("a2", "")]

    def voices() -> list[str]:
        return [item.speaker[-1] for item in repository.get_memory("alice", "one").transcript_segments]

    assert alice.post(f"{base}/voices/merge", {"voice": "SPEAKER_00", "into": "SPEAKER_01"}).status_code == 302
    assert voices() == ["1", "1", "1"]
    alice.post(f"{base}/voices/split", {"segment": ["a0", "a1"]})
    assert voices() == ["2", "2", "1"]
    shown = alice.get(f"{base}/voice?segment=a0").content.decode()
    assert "Some of speaker 1 is speaker 2" in shown
    newest, oldest = re.findall(r'name="change" value="(\w+)"', shown)
    for change in (newest, oldest):
        assert alice.post(f"{base}/voices/undo", {"change": change}).status_code == 302
    assert voices() == ["0", "1", "0"]
    assert alice.post(f"{base}/voices/merge", {"voice": "SPEAKER_07", "into": "SPEAKER_01"}).status_code == 404
    assert alice.post(f"{base}/voices/split", {}).status_code == 422
