"""Folders, tags, comments and the trash on the pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from memories.labels import store
from memories.repository import memories as repository
from memories.shapes import Memory
from tests.pages.conftest import Visitor

Make = Callable[..., Memory]


def text(visitor: Visitor, path: str) -> str:
    answer = visitor.get(path)
    assert answer.status_code == 200, path
    return str(answer.content.decode())


def test_a_memory_is_put_into_a_folder_and_found_there(alice: Visitor, make_memory: Make) -> None:
    inside, outside = make_memory(), make_memory()
    assert alice.post("/app/labels", {"kind": "folder", "name": "Harbour"}).status_code == 302
    (folder,) = store.listed("alice")
    form = {"folder": folder.id, "tags": [], "new_tag": "sails"}
    assert alice.post(f"/app/memories/{inside.id}/labels", form).status_code == 302
    tag = store.listed("alice", "tag")[0]
    assert repository.get_memory("alice", inside.id).edits.labels() == [folder.id, tag.id]
    for path in (f"/app?folder={folder.id}", f"/app?folder={folder.id}&tags={tag.id}"):
        shown = text(alice, path)
        assert f"/app/memories/{inside.id}" in shown
        assert f"/app/memories/{outside.id}" not in shown
    assert alice.get("/app?folder=fo_gone").status_code == 404
    assert f"/app/memories/{outside.id}" not in text(alice, f"/app/search?q=life+jackets&tags={tag.id}")
    alice.post(f"/app/labels/{tag.id}/name", {"name": "masts"})
    assert "masts" in text(alice, f"/app/memories/{inside.id}")
    assert "1 memory bears it" in text(alice, f"/app/labels/{tag.id}/delete")
    alice.post(f"/app/labels/{tag.id}/delete")
    alice.post(f"/app/memories/{inside.id}/labels", {"folder": ""})
    assert repository.get_memory("alice", inside.id).edits.labels() == []
    assert alice.post("/app/labels", {"kind": "folder", "name": ""}).status_code == 422


def test_comments_are_written_changed_and_deleted(alice: Visitor, make_memory: Make) -> None:
    path = f"/app/memories/{make_memory().id}"
    alice.post(f"{path}/comments", {"text": "Ask Bob"})
    (comment,) = repository.get_memory("alice", path.rsplit("/", 1)[1]).edits.comments
    assert "Ask Bob" in text(alice, path)
    alice.post(f"{path}/comments", {"comment": comment.id, "text": "Asked Bob"})
    assert "Asked Bob" in text(alice, path)
    alice.post(f"{path}/comments", {"comment": comment.id, "text": "x", "delete": "yes"})
    assert "Asked Bob" not in text(alice, path)
    assert alice.post(f"{path}/comments", {"text": ""}).status_code == 422
    assert alice.post(f"{path}/comments", {"comment": "cm_gone", "text": "x"}).status_code == 404


def test_the_trash_is_apart_from_what_was_set_aside(alice: Visitor, make_memory: Make, settings: Any) -> None:
    settings.OMI_RESTORE_DAYS = 7
    first, second, third = make_memory(), make_memory(), make_memory()
    aside = make_memory(discarded=True, id="set-aside")
    for memory in (first, second, third):
        alice.post(f"/app/memories/{memory.id}/delete")
    shown = text(alice, "/app/trash")
    assert shown.count("Bring back") == 3
    assert aside.id not in shown
    listed = text(alice, "/app?discarded=true")
    assert aside.id in listed
    assert first.id not in listed
    only = text(alice, "/app?aside=true")
    assert re.findall(r'href="/app/memories/([^"/]+)"', only) == [aside.id]
    alice.post(f"/app/trash/{first.id}/restore")
    assert repository.get_memory("alice", first.id)
    alice.post(f"/app/trash/{second.id}/erase")
    assert repository.find_memory("alice", second.id) is None
    alice.post("/app/trash/empty")
    assert repository.find_memory("alice", third.id) is None
    assert "The trash is empty." in text(alice, "/app/trash")
    assert alice.post(f"/app/trash/{aside.id}/restore").status_code == 404
    assert "not in the trash" in text(alice, f"/app/memories/{aside.id}")
    assert alice.post(f"/app/memories/{aside.id}/keep").status_code == 302
