"""Comments on a memory are its owner's, apart from the transcript, and as they were after every run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from memories import document_parts
from memories.pipeline.rules import changes
from memories.repository import memories as repository
from memories.shapes import Memory
from tests.api.conftest import Caller

Make = Callable[..., Memory]
C = "/v1/memories/alice-memory-1/comments"


def add(app: Caller, text: str, **headers: str) -> str:
    answer = app.send("POST", C, {"text": text}, **headers)
    assert answer.status_code == 200, answer.content
    return str(answer.json()["id"])


def texts(app: Caller) -> list[str]:
    return [item["text"] for item in app.get(C).json()]


def test_comments_are_added_changed_and_deleted(alice: Caller, make_memory: Make) -> None:
    before = make_memory().transcript_segments
    first, second = add(alice, "Ask Bob\r\nabout the invoice "), add(alice, "Later")
    assert texts(alice) == ["Ask Bob\nabout the invoice", "Later"]
    changed = alice.send("PATCH", f"{C}/{first}", {"text": "Asked"}).json()
    assert changed["edited_at"] > changed["at"]
    assert alice.delete(f"{C}/{second}").status_code == 204
    assert alice.delete(f"{C}/{second}").status_code == 404
    assert alice.send("PATCH", f"{C}/{second}", {"text": "x"}).status_code == 404
    assert texts(alice) == ["Asked"]
    assert repository.get_memory("alice", "alice-memory-1").transcript_segments == before


def test_the_same_key_is_the_same_comment(alice: Caller, make_memory: Make) -> None:
    make_memory()
    assert add(alice, "Once", Idempotency_Key="k1") == add(alice, "Once", Idempotency_Key="k1")
    add(alice, "Once", Idempotency_Key="k2")
    add(alice, "Once")
    assert texts(alice) == ["Once"] * 3
    assert alice.send("POST", C, {"text": "x"}, Idempotency_Key="k" * 256).status_code == 422


def test_a_key_that_was_used_for_other_words_is_a_conflict_also_once_these_were_edited(
    alice: Caller, make_memory: Make
) -> None:
    make_memory()
    first = add(alice, "Once", Idempotency_Key="k1")
    assert alice.send("POST", C, {"text": "Another"}, Idempotency_Key="k1").status_code == 409
    alice.send("PATCH", f"{C}/{first}", {"text": "Another"})
    assert alice.send("POST", C, {"text": "Another"}, Idempotency_Key="k1").status_code == 409
    assert add(alice, "Once", Idempotency_Key="k1") == first
    assert texts(alice) == ["Another"]


def test_a_comment_is_found_by_its_words_and_kept_by_a_run(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    add(alice, "Remember the hydrofoil")
    hits = alice.get("/v1/search?q=hydrofoil").json()["hits"]
    assert [item["memory_id"] for item in hits] == [memory.id]
    now = repository.get_memory("alice", memory.id)
    _, edits = changes.lay_structure(now, now.structured, now.edits)
    assert [item.text for item in edits.comments] == ["Remember the hydrofoil"]


def test_comments_are_bounded(alice: Caller, make_memory: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    make_memory()
    monkeypatch.setattr(document_parts, "MOST_COMMENTS", 2)
    monkeypatch.setattr(document_parts, "MOST_COMMENT_CHARACTERS", 10)
    first = add(alice, "12345")
    assert alice.send("POST", C, {"text": "123456"}).status_code == 409
    assert alice.send("PATCH", f"{C}/{first}", {"text": "x" * 11}).status_code == 409
    add(alice, "1")
    assert alice.send("POST", C, {"text": "1"}).status_code == 409
    assert alice.send("PATCH", f"{C}/{first}", {"text": "1234"}).status_code == 200
    for text in ("", " \n", "x" * 4001):
        assert alice.send("POST", C, {"text": text}).status_code == 422


def test_a_link_and_a_shared_memory_show_no_comment(alice: Caller, make_memory: Make) -> None:
    make_memory()
    add(alice, "Only for me")
    alice.send("PATCH", "/v1/memories/alice-memory-1/visibility?value=shared")
    every = ["title", "overview", "action_items", "events", "transcript"]
    url = alice.send("POST", "/v1/memories/alice-memory-1/links", {"fields": every}).json()["url"]
    for path in ("/v1/memories/alice-memory-1/shared", url):
        answer = alice.client.get(path)
        assert answer.status_code == 200
        assert b"Only for me" not in answer.content
