"""A worker dies between any two writes: either nothing is changed or all of it is, and the next one brings it to its
end."""

from __future__ import annotations

from typing import Any

import pytest

from memories.mirror import compare
from memories.models import MemoryRow
from memories.pipeline.engine import fault_injection
from memories.pipeline.models import PostProcessingRun
from memories.privacy import erasure
from memories.repository import memories as repository
from memories.reshaping import asking, working
from memories.reshaping.models import Reshaping
from memories.shapes import Memory, Structured
from memories.user_events.models import UserEvent
from omi.accounts import users
from omi.core.errors import ErrorKind, ProviderError, StoreError
from omi.stores import audio
from omi.stores.vectors import namespace, vectors
from tests.reshaping.conftest import Make, later, made_of, merged, nothing, said, worked
from tests.support.sound import tone

FORWARD = ["recorded", "embedded", "prepared", "replaced", "vectors", "cleared"]
BACK = ["back-prepared", "back", "back-erased"]


class Killed(BaseException):
    """What a SIGKILL is to the code: nothing of it runs any more."""


def killed_at(patch: pytest.MonkeyPatch, name: str, do: Any) -> None:
    """``do`` until the point of this name is passed."""
    passed = []

    def point(here: str) -> None:
        if here == f"reshaping-{name}":
            passed.append(here)
            raise Killed

    with patch.context() as patched:
        patched.setattr(fault_injection, "point", point)
        with pytest.raises(Killed):
            do()
    assert passed


def shown() -> set[str]:
    return {memory.id for memory in repository.list_memories("alice").memories}


def vector_owners() -> set[str]:
    found = vectors().fetch(list(vectors().list_ids(prefix="alice-", namespace=namespace())), namespace=namespace())
    return {str(vector.metadata["memory_id"]) for vector in found.values()}


@pytest.mark.parametrize("name", FORWARD)
def test_killed_while_merging(pair: list[Memory], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    row = asking.merge("alice", ["one", "two"], fence=nothing)
    result = row.memories.get(made=True).memory_id
    killed_at(monkeypatch, name, lambda: working.work(row.pk))
    whole = name in ("replaced", "vectors", "cleared")
    assert shown() == ({result} if whole else {"one", "two"})
    assert working.due() == 0  # its worker may still be at it
    later(row)
    assert working.due() == 1
    assert shown() == {result}
    assert vector_owners() == {result}
    assert PostProcessingRun.objects.filter(memory_id=result).count() == 1
    assert UserEvent.objects.filter(memory_id=result, type="new_memory_created").count() == 1
    assert rows_differ() == []


def rows_differ() -> list[compare.Difference]:
    """Between documents and rows; the word index is a worker's that does not run here, vectors of the originals are
    looked at above."""
    found = compare.check_user("alice")
    return [item for item in found if item.kind in ("row_missing", "row_extra", "row_stale", "audio_extra")]


@pytest.mark.parametrize("name", BACK)
def test_killed_while_undoing(pair: list[Memory], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    row = merged("one", "two")
    (result,) = made_of(row)
    before = {item.id: repository.find_memory("alice", item.id) for item in pair}
    asking.undo("alice", row.pk, fence=nothing)
    killed_at(monkeypatch, name, lambda: working.work(row.pk))
    assert shown() == ({result.id} if name == "back-prepared" else {"one", "two"})
    later(row)
    assert working.due() == 1
    row.refresh_from_db()
    assert (row.state, row.finished) == ("undone", True)
    assert shown() == {"one", "two"}
    assert vector_owners() == {"one", "two"}
    for name_, memory in before.items():
        now = repository.get_memory("alice", name_)
        assert memory is not None
        assert (now.structured, now.edits, now.transcript_segments) == (
            memory.structured, memory.edits, memory.transcript_segments
        )  # fmt: skip
    assert rows_differ() == []


def test_rows_that_a_store_outside_of_the_database_left_behind_are_made_right(pair: list[Memory]) -> None:
    """In Firestore the documents may be there and the rows not: the worker died between the two."""
    row = merged("one", "two")
    (result,) = made_of(row)
    MemoryRow.objects.filter(memory_id=result.id).delete()
    MemoryRow.objects.exclude(memory_id=result.id).update(deleted=False, deleted_at=None, revision=1)
    Reshaping.objects.update(state="making", finished=False, done_at=None)
    later(row)
    worked(row)
    assert (row.state, row.finished) == ("done", True)
    assert rows_differ() == []
    assert list(MemoryRow.objects.filter(deleted=False).values_list("memory_id", flat=True)) == [result.id]


def test_a_store_that_is_down_changes_nothing_and_is_tried_again(
    pair: list[Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = asking.merge("alice", ["one", "two"], fence=nothing)
    with monkeypatch.context() as patched:

        def down(*_: Any, **__: Any) -> None:
            raise StoreError("vectors", "out of reach", kind=ErrorKind.TRANSIENT, code="down")

        patched.setattr("memories.passages.whole.vector_writes.write", down)
        worked(row)
        assert (row.state, row.finished, row.code) == ("making", False, "store")
        assert shown() == {"one", "two"}
    later(row)
    assert worked(row).state == "done"


def test_what_has_no_summary_yet_gets_its_vector_from_its_run_only(make: Make) -> None:
    """As the comparison of the stores expects: it would call the vector one too many."""
    for number, name in enumerate(("one", "two")):
        make(name, number, said(name, "Hello."), structured=Structured())
    merged("one", "two")
    assert vectors().fetch([f"alice-{memory_id}" for memory_id in shown()], namespace=namespace()) == {}
    assert [item for item in compare.check_user("alice") if item.kind.startswith("vector")] == []


def test_given_up_after_hours_nothing_is_left_and_it_can_be_asked_for_again(
    pair: list[Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = asking.merge("alice", ["one", "two"], fence=nothing)
    Reshaping.objects.update(created_at=row.created_at - working.PATIENCE - working.RUNS_AGAIN)
    with monkeypatch.context() as patched:

        def down(*_: Any, **__: Any) -> None:
            raise ProviderError("embedder", "out of reach", kind=ErrorKind.TRANSIENT, code="down")

        patched.setattr("memories.reshaping.stores.indexing.prepare", down)
        worked(row)
    assert (row.state, row.finished, row.code) == ("failed", True, "error")
    assert shown() == {"one", "two"}
    assert vector_owners() == set()
    run = PostProcessingRun.objects.create(
        uid="alice", memory_id="one", kind="reprocess", actor="test", plan=["structure"], request_hash="x"
    )
    again = asking.merge("alice", ["two", "one"], fence=nothing)
    assert (again.pk, worked(again).code, again.state) == (row.pk, "waiting", "making")  # for as long as the first time
    run.delete()
    later(row)
    assert worked(again).state == "done"


def test_a_change_that_the_user_makes_meanwhile_is_in_the_result(
    pair: list[Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prepared from what was read before: the transaction sees that, and it is prepared anew."""
    changed = []

    def point(here: str) -> None:
        if here == "reshaping-prepared" and not changed:
            changed.append(repository.update_memory("alice", "one", {"edits.title": "Mine"}))

    monkeypatch.setattr(fault_injection, "point", point)
    (memory,) = made_of(merged("one", "two"))
    assert (len(changed), memory.edits.title) == (1, "Mine")


def test_an_original_that_is_deleted_meanwhile_ends_it(pair: list[Memory], monkeypatch: pytest.MonkeyPatch) -> None:
    row = asking.merge("alice", ["one", "two"], fence=nothing)
    monkeypatch.setattr(
        fault_injection, "point", lambda here: here == "reshaping-prepared" and repository.delete_memory("alice", "one")
    )
    worked(row)
    assert (row.state, row.code) == ("failed", "gone")
    assert shown() == {"two"}


def test_a_run_that_is_under_way_is_waited_for(pair: list[Memory]) -> None:
    run = PostProcessingRun.objects.create(
        uid="alice", memory_id="one", kind="reprocess", actor="test", plan=["structure"], request_hash="x"
    )
    row = asking.merge("alice", ["one", "two"], fence=nothing)
    worked(row)
    assert (row.state, row.code) == ("making", "waiting")
    run.delete()
    later(row)
    assert worked(row).state == "done"


def test_a_worker_that_was_overtaken_takes_nothing_of_the_result_away(
    pair: list[Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time was over while it prepared, and the next worker has done everything."""
    users.update_user("alice", store_recording_permission=True)
    for name in ("one", "two"):
        audio.put("alice", "recording", tone(2), memory_id=name, keep_for=None)
    row = asking.merge("alice", ["one", "two"], fence=nothing)
    overtaken = []

    def point(here: str) -> None:
        if here == "reshaping-prepared" and not overtaken:
            overtaken.append(here)
            later(row)
            working.work(row.pk)

    monkeypatch.setattr(fault_injection, "point", point)
    worked(row)
    (result,) = made_of(row)
    assert (row.state, row.finished, shown(), vector_owners()) == ("done", True, {result.id}, {result.id})
    assert [item.name for item in audio.for_memory("alice", result.id, "recording")] == [result.recording]


def test_an_undoing_that_cannot_be_done_leaves_no_vectors_of_the_originals(pair: list[Memory], settings: Any) -> None:
    settings.OMI_RESTORE_DAYS = 7
    row = merged("one", "two")
    (result,) = made_of(row)
    asking.undo("alice", row.pk, fence=nothing)
    erasure.erase_memory("alice", result.id)
    worked(row)
    assert (row.state, row.finished, row.code) == ("done", True, "changed_again")
    assert vector_owners() == set()


def test_a_killed_copy_of_a_recording_leaves_one(pair: list[Memory], monkeypatch: pytest.MonkeyPatch) -> None:
    users.update_user("alice", store_recording_permission=True)
    for name in ("one", "two"):
        audio.put("alice", "recording", tone(2), memory_id=name, keep_for=None)
    row = asking.merge("alice", ["one", "two"], fence=nothing)
    killed_at(monkeypatch, "recorded", lambda: working.work(row.pk))
    later(row)
    worked(row)
    (result,) = made_of(row)
    assert [item.name for item in audio.for_memory("alice", result.id, "recording")] == [result.recording]
