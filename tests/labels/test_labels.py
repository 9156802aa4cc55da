"""Folders and tags: their names reach all of their memories, and lists and searches find these and no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from memories.document_parts import MOST_TAGS
from memories.labels import labelling, store
from memories.mirror import compare
from memories.mirror.models import MemoryRow
from memories.pipeline.rules import changes
from memories.privacy import erasure
from memories.repository import memories as repository
from memories.shapes import Memory
from omi.core.errors import ErrorKind, ProviderError
from omi.stores.documents import documents
from tests.api.conftest import Caller

Make = Callable[..., Memory]


def waiting() -> list[OrmQ]:
    """The tasks of this package that a worker will come to."""
    return [item for item in OrmQ.objects.order_by("pk") if item.task["func"] == labelling.CLEAR]


def made(app: Caller, kind: str, name: str) -> str:
    answer = app.send("POST", "/v1/labels", {"kind": kind, "name": name})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["id"])


def put(app: Caller, memory: Memory, **body: Any) -> Any:
    return app.send("PATCH", f"/v1/memories/{memory.id}/labels", body)


def names(app: Caller) -> list[tuple[str, str, int]]:
    return [(item["kind"], item["name"], item["memories"]) for item in app.get("/v1/labels").json()]


def ids(app: Caller, query: str) -> list[str]:
    answer = app.get(f"/v1/memories?{query}")
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()]


def nothing() -> None:
    """The fence of a user whose account is there."""


def test_a_memory_is_in_one_folder_at_most_and_bears_the_tags_it_is_given(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    work, home = made(alice, "folder", "Work"), made(alice, "folder", "Home")
    boat, idea = made(alice, "tag", "boat"), made(alice, "tag", "idea")
    assert put(alice, memory, folder_id=work, tag_ids=[boat, idea, boat]).status_code == 200
    put(alice, memory, folder_id=home)
    edits = alice.get(f"/v1/memories/{memory.id}").json()["edits"]
    assert (edits["folder_id"], edits["tag_ids"]) == (home, [boat, idea])
    assert names(alice) == [("folder", "Home", 1), ("folder", "Work", 0), ("tag", "boat", 1), ("tag", "idea", 1)]
    put(alice, memory, folder_id=None, tag_ids=[])
    assert [count for _, _, count in names(alice)] == [0, 0, 0, 0]
    revision = repository.get_memory("alice", memory.id).revision
    put(alice, memory, tag_ids=[])
    assert repository.get_memory("alice", memory.id).revision == revision


def test_the_same_name_is_the_same_label_and_no_other_may_take_it(alice: Caller) -> None:
    work = made(alice, "folder", "Work")
    assert made(alice, "folder", "  WORK ") == work
    assert made(alice, "tag", "Work") != work
    home = made(alice, "folder", "Home")
    assert alice.send("PATCH", f"/v1/labels/{home}", {"name": "work"}).status_code == 409
    assert alice.send("PATCH", f"/v1/labels/{home}", {"name": "HOME"}).json()["name"] == "HOME"
    for name in ("", "  ", "x" * 61, "a\u0007b", "\u200d", "a\u202eb"):
        assert alice.send("POST", "/v1/labels", {"kind": "tag", "name": name}).status_code == 422
    made(alice, "folder", "\u06a9\u062a\u0627\u0628\u200c\u0647\u0627")
    made(alice, "tag", "\U0001f468\u200d\U0001f469\u200d\U0001f467")
    assert alice.send("POST", "/v1/labels", {"kind": "shelf", "name": "x"}).status_code == 422


def test_a_deleted_label_is_taken_off_once_the_store_is_there_again(
    alice: Caller, make_memory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task was given up: nobody looked for what was left."""
    boat = made(alice, "tag", "boat")
    put(alice, make_memory(), tag_ids=[boat])
    with monkeypatch.context() as away:
        away.setattr(repository, "mutate_memory", _fails)
        assert alice.delete(f"/v1/labels/{boat}").status_code == 204
    [later] = waiting()
    assert later.lock is not None
    assert later.lock > timezone.now() + timedelta(minutes=9)
    labelling.clear(*later.task["args"])
    assert not MemoryRow.objects.exclude(labels="").exists()


def _fails(*_: Any, **__: Any) -> None:
    raise ProviderError("firestore", "the store is away", kind=ErrorKind.TRANSIENT)


def test_a_new_name_is_everywhere_and_a_deleted_label_nowhere(
    alice: Caller, make_memory: Make, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    monkeypatch.setattr(labelling, "CLEARED_AT_ONCE", 2)
    boat, work = made(alice, "tag", "boat"), made(alice, "folder", "Work")
    for _ in range(3):
        put(alice, make_memory(), folder_id=work, tag_ids=[boat])
    alice.send("PATCH", f"/v1/labels/{boat}", {"name": "sailing"})
    assert names(alice) == [("folder", "Work", 3), ("tag", "sailing", 3)]
    with django_capture_on_commit_callbacks(execute=True):
        assert alice.delete(f"/v1/labels/{boat}").status_code == 204
    assert names(alice) == [("folder", "Work", 3)]
    assert [item.task["args"] for item in waiting()] == [("alice", boat)]
    labelling.clear("alice", boat)
    alice.delete(f"/v1/labels/{work}")
    labelling.clear("alice", work)
    left = [repository.get_memory("alice", name).edits.labels() for name in ids(alice, "")]
    assert left == [[], [], []]
    assert not MemoryRow.objects.exclude(labels="").exists()


def test_a_label_that_is_deleted_while_it_is_put_on_is_not_left_on_the_memory(
    alice: Caller, make_memory: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = make_memory()
    label = store.create("alice", "tag", "Boats", fence=nothing)
    real = repository.mutate_memory

    def late(*given: Any, **more: Any) -> Memory:
        monkeypatch.setattr(repository, "mutate_memory", real)
        labelling.delete("alice", label.id)
        return real(*given, **more)

    monkeypatch.setattr(repository, "mutate_memory", late)
    assert labelling.put("alice", memory.id, {"tag_ids": [label.id]}, fence=nothing).edits.tag_ids == []
    assert not store.counts("alice")


def test_the_list_filters_before_it_pages_and_loses_none(alice: Caller, make_memory: Make) -> None:
    work, boat, idea = made(alice, "folder", "Work"), made(alice, "tag", "boat"), made(alice, "tag", "idea")
    home = made(alice, "folder", "Home")
    every = [make_memory(discarded=number == 5) for number in range(9)]
    for number, memory in enumerate(every):
        put(alice, memory, folder_id=work if number % 2 else None, tag_ids=[boat, idea][: 1 + number % 3 // 2])
    newest = [memory.id for memory in reversed(every)]
    assert ids(alice, f"folder={work}") == [name for name in newest if int(name[-1]) % 2 == 0]
    assert ids(alice, f"folder={work}&include_discarded=false") == [
        "alice-memory-8",
        "alice-memory-4",
        "alice-memory-2",
    ]
    assert ids(alice, f"tags={boat},{idea}") == ["alice-memory-9", "alice-memory-6", "alice-memory-3"]
    assert ids(alice, f"folder={work}&tags={idea}") == ["alice-memory-6"]
    assert ids(alice, f"folder={work}&offset=1&limit=2") == ["alice-memory-6", "alice-memory-4"]
    assert ids(alice, "folder=fo_nothing") == []
    assert ids(alice, "only_discarded=true") == ids(alice, f"only_discarded=true&folder={work}") == ["alice-memory-6"]
    assert ids(alice, f"only_discarded=true&folder={home}") == []
    found, query = [], f"folder={work}&limit=1"
    while query:
        answer = alice.get(f"/v1/memories?{query}")
        found += [item["id"] for item in answer.json()]
        make_memory()  # what comes meanwhile moves nothing
        cursor = answer.headers.get("X-Next-Cursor")
        query = f"folder={work}&limit=1&cursor={cursor}" if cursor else ""
    assert found == ids(alice, f"folder={work}")
    documents().delete(repository.memory_path("alice", found[0]))  # its row is behind
    first = alice.get(f"/v1/memories?folder={work}&limit=1")
    assert first.json() == []
    later = alice.get(f"/v1/memories?folder={work}&limit=1&cursor={first.headers['X-Next-Cursor']}")
    assert [item["id"] for item in later.json()] == found[1:2]
    assert alice.get(f"/v1/memories?folder={work}&cursor=nonsense").status_code == 422
    assert alice.get(f"/v1/memories?tags={','.join(['x'] * 21)}").status_code == 422


def test_a_search_is_asked_among_the_labelled_only(alice: Caller, make_memory: Make) -> None:
    first, second = make_memory(), make_memory()
    work, boat = made(alice, "folder", "Work"), made(alice, "tag", "boat")
    put(alice, first, folder_id=work, tag_ids=[boat])
    put(alice, second, tag_ids=[boat])

    def hits(more: str) -> set[str]:
        return {item["memory_id"] for item in alice.get(f"/v1/search?q=life+jackets{more}").json()["hits"]}

    assert hits("") == hits(f"&tags={boat}") == {first.id, second.id}
    assert hits(f"&folder={work}") == hits(f"&folder={work}&tags={boat}") == {first.id}
    assert hits("&folder=fo_other") == set()


def test_labels_survive_a_run_and_a_rebuilt_mirror(alice: Caller, make_memory: Make) -> None:
    memory = make_memory()
    work = made(alice, "folder", "Work")
    put(alice, memory, folder_id=work)
    now = repository.get_memory("alice", memory.id)
    _, edits = changes.lay_structure(now, now.structured, now.edits)
    assert edits.folder_id == work
    MemoryRow.objects.update(labels="")
    assert [item.kind for item in compare.check_user("alice") if item.kind.startswith("row")] == ["row_stale"]
    compare.rebuild_user("alice")
    assert ids(alice, f"folder={work}") == [memory.id]


def test_what_is_somebody_elses_is_not_there(alice: Caller, bob: Caller, make_memory: Make) -> None:
    memory, others = make_memory(), make_memory("bob")
    work, boat = made(alice, "folder", "Work"), made(alice, "tag", "boat")
    assert put(bob, memory, folder_id=work).status_code == 404
    assert put(bob, others, folder_id=work).status_code == 404
    assert put(bob, others, tag_ids=[boat]).status_code == 404
    assert put(alice, memory, folder_id=boat).status_code == 404
    assert bob.send("PATCH", f"/v1/labels/{work}", {"name": "Mine"}).status_code == 404
    assert bob.delete(f"/v1/labels/{work}").status_code == 404
    assert bob.get("/v1/labels").json() == []
    assert names(alice) == [("folder", "Work", 0), ("tag", "boat", 0)]


def test_there_are_as_many_as_may_be(alice: Caller, make_memory: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(store._MOST, "tag", 1)
    tag = made(alice, "tag", "one")
    assert alice.send("POST", "/v1/labels", {"kind": "tag", "name": "two"}).status_code == 409
    assert made(alice, "tag", "one") == tag
    assert put(alice, make_memory(), tag_ids=[f"tg_{number}" for number in range(21)]).status_code == 422
    longest = MOST_TAGS * (len(tag) + 1) + len("fo_0123456789ab ") + 1
    assert longest <= MemoryRow._meta.get_field("labels").max_length


def test_labels_are_exported_and_erased(alice: Caller, make_memory: Make) -> None:
    made(alice, "folder", "Secret plans")
    archive = b"".join(alice.get("/v1/users/export"))
    assert b"labels/fo_" in archive
    erasure.erase_user("alice")
    assert erasure.verify_user_erased("alice") == {}
    assert store.listed("alice") == []
