"""What is merged or split leaves as the user wants it: with the result, after 30 days, with the account."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from memories import retained, upkeep
from memories.mirror.models import ErasureReceipt
from memories.privacy import erasure, trash
from memories.repository import memories as repository
from memories.reshaping import asking, records
from memories.reshaping.models import ReshapedMemory, Reshaping
from memories.reshaping.plans import NotPossible
from memories.shapes import Memory
from omi.stores.models import AudioObject
from speakers.models import VoiceSample
from tests.reshaping.conftest import Make, made_of, merged, nothing, runs_end, said, split, undone, worked


def aged(row: Reshaping, days: float) -> None:
    Reshaping.objects.filter(pk=row.pk).update(done_at=timezone.now() - timedelta(days=days))


def test_the_originals_survive_the_schedule_where_nothing_deleted_can_be_restored(pair: list[Memory]) -> None:
    """``OMI_RESTORE_DAYS`` is 0: what is deleted goes with the next schedule, these do not."""
    row = merged("one", "two")
    upkeep.erasures()
    undone(row)
    assert repository.get_memory("alice", "one").structured.title == "Talk one"


def test_after_thirty_days_they_go_for_good_and_cannot_come_back(pair: list[Memory]) -> None:
    row = merged("one", "two")
    (result,) = made_of(row)
    aged(row, 29.9)
    assert upkeep.erasures() == 0
    aged(row, 30.1)
    with pytest.raises(NotPossible) as late:
        asking.undo("alice", row.pk, fence=nothing)
    assert late.value.code == "too_late"
    assert upkeep.erasures() == 2
    assert [repository.find_memory("alice", name) for name in ("one", "two")] == [None, None]
    assert repository.get_memory("alice", result.id).transcript_segments
    assert (Reshaping.objects.count(), ReshapedMemory.objects.count()) == (0, 0)


def test_the_report_of_retention_tells_of_them(pair: list[Memory]) -> None:
    merged("one", "two")
    told = {line.what: line for line in retained.report()}
    line = told["originals of merged and split memories"]
    assert (line.count, line.goes) == (2, "30 days after it")


def test_who_erases_the_result_erases_what_it_says_everywhere(pair: list[Memory]) -> None:
    (result,) = made_of(merged("one", "two"))
    erasure.erase_memory("alice", result.id)
    assert [repository.find_memory("alice", name) for name in ("one", "two", result.id)] == [None, None, None]
    assert ErasureReceipt.objects.filter(complete=True).count() == 3
    assert records.remaining("alice") == 0


def test_they_go_too_where_the_row_does_not_know_of_the_change_yet(pair: list[Memory]) -> None:
    """The documents lie in another store, and the worker was killed before it wrote its row."""
    row = merged("one", "two")
    Reshaping.objects.update(state="making", done_at=None, finished=False)
    (result,) = made_of(row)
    erasure.erase_memory("alice", result.id)
    assert [repository.find_memory("alice", name) for name in ("one", "two")] == [None, None]


def test_originals_that_were_asked_back_come_back_where_the_result_is_erased_before(pair: list[Memory]) -> None:
    row = merged("one", "two")
    (result,) = made_of(row)
    asking.undo("alice", row.pk, fence=nothing)
    erasure.erase_memory("alice", result.id)
    assert worked(row).state == "undone"
    assert {memory.id for memory in repository.list_memories("alice").memories} == {"one", "two"}


def test_who_erases_one_part_erases_the_talk_that_says_it(pair: list[Memory]) -> None:
    first, second = made_of(split("one", "a1"))
    erasure.erase_memory("alice", second.id)
    assert repository.find_memory("alice", "one") is None
    assert repository.get_memory("alice", first.id)


def test_a_result_in_the_trash_can_be_restored_and_not_undone_meanwhile(pair: list[Memory], settings: Any) -> None:
    settings.OMI_RESTORE_DAYS = 7
    row = merged("one", "two")
    (result,) = made_of(row)
    erasure.erase_memory("alice", result.id)
    assert [item.memory_id for item in trash.listed("alice", before=None, limit=10)] == [result.id]
    with pytest.raises(NotPossible):
        asking.undo("alice", row.pk, fence=nothing)
    erasure.restore_memory("alice", result.id)
    undone(row)


@pytest.mark.parametrize("leave", [trash.empty, erasure.restore_memory])
def test_hidden_originals_are_in_no_trash(pair: list[Memory], settings: Any, leave: Callable[[str, str], Any]) -> None:
    settings.OMI_RESTORE_DAYS = 7
    merged("one", "two")
    assert trash.listed("alice", before=None, limit=10) == []
    with pytest.raises(repository.MemoryNotFound):
        leave("alice", "one")
    assert repository.find_memory("alice", "one") is not None


def test_a_merge_of_a_merge_is_undone_in_order_only(pair: list[Memory], make: Make) -> None:
    make("three", 20, said("c", "And a third one."))
    first = merged("one", "two")
    (result,) = made_of(first)
    runs_end(result)
    second = merged(result.id, "three")
    with pytest.raises(NotPossible) as refused:
        asking.undo("alice", first.pk, fence=nothing)
    assert refused.value.code == "changed_again"
    undone(second)
    undone(first)
    assert {memory.id for memory in repository.list_memories("alice").memories} == {"one", "two", "three"}


def test_voices_that_were_learned_come_from_where_the_words_are_shown(pair: list[Memory]) -> None:
    AudioObject.objects.create(
        name="s.wav", uid="alice", memory_id="two", purpose="sample", created_at=timezone.now(), complete=True
    )
    VoiceSample.objects.create(
        uid="alice", person_id="ann", source="segment", audio="s.wav", seconds=4, voiced_seconds=3, memory_id="two",
        segment_id="b0", start=0.0, end=4.0,
    )  # fmt: skip

    def places() -> tuple[str, str, float | None]:
        sample = VoiceSample.objects.get()
        return AudioObject.objects.get().memory_id, sample.memory_id, sample.start

    row = merged("one", "two")
    (result,) = made_of(row)
    assert places() == (result.id, result.id, 600.0)
    undone(row)
    assert places() == ("two", "two", 0.0)


def test_an_account_that_is_erased_leaves_nothing(pair: list[Memory]) -> None:
    merged("one", "two")
    asking.split("alice", made_of(Reshaping.objects.get())[0].id, "b0", fence=nothing)
    erasure.erase_user("alice")
    assert erasure.verify_user_erased("alice") == {}
    assert records.remaining("alice") == 0
