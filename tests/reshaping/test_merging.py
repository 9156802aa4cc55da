"""Several memories become one: times, voices, edits; the originals are hidden, and come back as they were."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from memories.changes import comments, healing, making, voices
from memories.document_parts import Comment
from memories.pipeline.models import PostProcessingRun
from memories.pipeline.rules import changes as rules
from memories.repository import memories as repository
from memories.shapes import ActionItem, Change, Memory, Structured, UserEdits
from memories.vocabulary.models import Healing
from tests.reshaping.conftest import BEGAN, Make, made_of, merged, nothing, said, undone


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda name: making.delete_item("alice", "two", name, fence=nothing), ["Call Bob"]),
        (
            lambda name: making.change_item("alice", "two", name, {"description": "Call Rob"}, fence=nothing),
            ["Call Bob", "Call Rob"],
        ),
    ],
    ids=["deleted", "in other words"],
)
def test_a_task_of_the_same_words_in_the_other_memory_is_not_touched(make: Make, change: Any, left: list[str]) -> None:
    for name, minutes in (("one", 0), ("two", 10)):
        told = Structured(title=name, action_items=[ActionItem(description="Call Bob")])
        make(name, minutes, said(name, "Call Bob today.", "Yes, I will."), structured=told)
    change(rules.item_id("Call Bob"))
    (memory,) = made_of(merged("one", "two"))
    assert [item.description for item in memory.structured.action_items] == left
    assert [item.description for _, item in making.listed(memory)] == left


def test_the_transcripts_follow_one_another_on_one_time_axis_with_the_pause_between_them(pair: list[Memory]) -> None:
    (memory,) = made_of(merged("two", "one"))
    assert [(item.id, item.start, item.text) for item in memory.transcript_segments] == [
        ("a0", 0.0, "We take the boat on Sunday."), ("a1", 5.0, "Bring the yellow jackets."),
        ("a2", 10.0, "I buy bread."),
        ("b0", 600.0, "The roof needs new tiles."), ("b1", 605.0, "Call the roofer on Monday."),
    ]  # fmt: skip
    assert (memory.time_zero, memory.started_at) == (BEGAN, BEGAN)
    assert memory.finished_at == BEGAN + timedelta(minutes=10, seconds=10)
    assert memory.made_from == ["one", "two"]


def test_unnamed_voices_of_two_talks_are_not_confused_and_named_ones_stay_one(make: Make) -> None:
    first = said("a", "Hello.", "Hi.")
    second = said("b", "I am Ann.", "And I am new.")
    first[1] = first[1].model_copy(update={"person_id": "ann"})
    second[0] = second[0].model_copy(update={"person_id": "ann"})
    make("one", 0, first)
    make("two", 5, second)
    (memory,) = made_of(merged("one", "two"))
    assert [(item.speaker, item.person_id) for item in memory.transcript_segments] == [
        ("SPEAKER_00", None), ("SPEAKER_01", "ann"), ("SPEAKER_01", "ann"), ("SPEAKER_02", None),
    ]  # fmt: skip


def test_segments_of_the_same_id_stay_two(make: Make) -> None:
    make("one", 0, said("a", "Hello."))
    make("two", 5, said("a", "Goodbye."))
    (memory,) = made_of(merged("one", "two"))
    assert len({item.id for item in memory.transcript_segments}) == 2


def test_a_deleted_task_takes_no_task_of_the_other_memory_with_it_in_a_later_run(make: Make) -> None:
    anna, bob = "Send the report to Anna", "Send the report to Bob"
    for name, minutes, task in (("one", 0, anna), ("two", 10, bob)):
        told = Structured(title=name, action_items=[ActionItem(description=task)])
        make(name, minutes, said(name, "We talk about it.", "Yes, I will."), structured=told)
    making.delete_item("alice", "one", rules.item_id(anna), fence=nothing)
    (memory,) = made_of(merged("one", "two"))
    found = Structured(title="t", action_items=[ActionItem(description=bob)])
    structured, _ = rules.lay_structure(memory, found, memory.edits)
    assert [item.description for item in structured.action_items] == [bob]


def test_comments_that_were_added_with_the_same_key_are_two_in_the_merged_memory(make: Make) -> None:
    for name, minutes in (("one", 0), ("two", 10)):
        make(name, minutes, said(name, "We talk about it."))
        comments.add("alice", name, "Ask Bob", key="k", fence=nothing)
    (memory,) = made_of(merged("one", "two"))
    assert len({note.id for note in memory.edits.comments}) == 2


def test_what_the_user_changed_is_carried(make: Make) -> None:
    corrected = Change(
        id="ch_1", kind="text", at=BEGAN, segment_id="b0", start=0.0, end=4.0, heard="The rough.", before="The rough.",
        text="The roof.", places={"b0": "The rough."},
    )  # fmt: skip
    done = Change(
        id="ch_2", kind="item_change", at=BEGAN, item_id="ai_x", item=ActionItem(description="Call the roofer"),
        fields={"completed": True},
    )  # fmt: skip
    named = {"is_user": True, "person_id": None, "start": 5.0, "end": 9.0, "transcript": None, "version": None}
    make("one", 0, said("a", "We take the boat."), edits=UserEdits(title="Boat and roof"))
    make(
        "two", 10, said("b", "The roof.", "Call him."),
        structured=Structured(title="Roof", action_items=[ActionItem(description="Call the roofer", completed=True)]),
        edits=UserEdits(changes=[corrected, done], segments={"b1": named}, made_items=[]),
    )  # fmt: skip
    (memory,) = made_of(merged("one", "two"))
    assert memory.structured.title == memory.edits.title == "Boat and roof"
    text, item = memory.edits.changes
    assert (text.segment_id, text.start, text.end, text.places) == ("b0", 600.0, 604.0, {"b0": "The rough."})
    assert [one.text for one in memory.heard()] == ["We take the boat.", "The rough.", "Call him."]
    assert (item.fields, memory.edits.made_items) == ({"completed": True}, [])
    assert [(one.description, one.completed) for one in memory.structured.action_items] == [("Call the roofer", True)]
    assert (memory.edits.segments["b1"]["start"], memory.edits.segments["b1"]["is_user"]) == (605.0, True)


def test_voices_that_the_user_made_one_are_one_in_the_merged_memory(pair: list[Memory]) -> None:
    voices.merge("alice", "one", "SPEAKER_01", "SPEAKER_00", fence=nothing)
    (memory,) = made_of(merged("one", "two"))
    assert [item.speaker[-1] for item in memory.transcript_segments] == ["0", "0", "0", "1", "2"]
    assert memory.heard() == memory.transcript_segments


def test_a_run_makes_the_summary_and_the_app_hears_of_it(pair: list[Memory]) -> None:
    (memory,) = made_of(merged("one", "two"))
    assert memory.structured.title == "Talk one · Talk two"
    run = PostProcessingRun.objects.get(memory_id=memory.id)
    assert (run.kind, run.state) == ("reprocess", "queued")


def test_the_originals_are_hidden_and_point_to_the_result(pair: list[Memory]) -> None:
    row = merged("one", "two")
    (memory,) = made_of(row)
    assert [item.id for item in repository.list_memories("alice").memories] == [memory.id]
    hidden = repository.find_memory("alice", "one")
    assert hidden is not None
    assert (hidden.deleted, hidden.replaced_by) == (True, [memory.id])
    assert hidden.goes_at is not None


def test_undone_the_originals_are_exactly_as_they_were_and_the_result_is_gone(pair: list[Memory]) -> None:
    before = {item.id: repository.get_memory("alice", item.id).model_dump(exclude={"revision"}) for item in pair}
    row = merged("one", "two")
    (result,) = made_of(row)
    undone(row)
    assert {name: repository.get_memory("alice", name).model_dump(exclude={"revision"}) for name in before} == before
    assert repository.find_memory("alice", result.id) is None
    with pytest.raises(repository.MemoryNotFound):
        repository.get_memory("alice", result.id)


def test_merged_again_after_it_was_undone_makes_a_new_memory(pair: list[Memory]) -> None:
    first = merged("one", "two")
    before = [item.memory_id for item in first.memories.filter(made=True)]
    undone(first)
    again = merged("one", "two")
    assert again.pk != first.pk
    assert [memory.id for memory in made_of(again)] != before


def test_labels_comments_and_healings_go_along(make: Make) -> None:
    healed = [
        Change(id=f"ch_{name}", kind="heal", at=BEGAN, heard="Hanna", text="Anna", before="Hanna", healing="h1",
               places={f"{name}0": "Hello Hanna."})
        for name in "ab"
    ]  # fmt: skip
    notes = [Comment(id=f"c{number}", text="Note", at=BEGAN + timedelta(minutes=number)) for number in range(2)]
    make(
        "one", 0, said("a", "Hello Anna."),
        edits=UserEdits(folder_id="f1", tag_ids=["t1", "t2"], comments=notes[1:], changes=healed[:1]),
    )  # fmt: skip
    make(
        "two", 5, said("b", "Hello Anna."),
        edits=UserEdits(
            folder_id="f2", tag_ids=["t2", "t3"], comments=notes[:1], changes=healed[1:], template_id="meeting"
        ),
    )  # fmt: skip
    Healing.objects.create(id="h1", uid="alice", heard="Hanna", term="Anna", created_at=BEGAN)
    (memory,) = made_of(merged("one", "two"))
    assert (memory.edits.folder_id, memory.edits.tag_ids) == ("f1", ["t1", "t2", "t3"])
    assert [note.id for note in memory.edits.comments] == ["c0", "c1"]
    assert memory.edits.template_id == "meeting"
    assert [item.text for item in memory.heard()] == ["Hello Hanna.", "Hello Hanna."]
    assert len(memory.edits.changes) == 1
    healing.undo("alice", "h1", fence=nothing)
    assert [item.text for item in repository.get_memory("alice", memory.id).transcript_segments] == ["Hello Hanna."] * 2
