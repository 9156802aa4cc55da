"""One memory becomes two at a passage: times, voices, edits and files each where they belong."""

from __future__ import annotations

from datetime import timedelta

import pytest

from emotions.base import EmotionScore, EmotionSpan, EmotionTimeline
from memories.document_parts import AppliedTemplate, Comment, Section
from memories.repository import emotions
from memories.repository import memories as repository
from memories.reshaping import asking
from memories.reshaping.plans import NotPossible
from memories.shapes import ActionItem, Change, Event, Memory, Structured, UserEdits
from tests.reshaping.conftest import BEGAN, Make, made_of, merged, nothing, runs_end, said, split, undone

TALK = ("We take the boat on Sunday.", "Bring the yellow jackets.", "The roof needs tiles.", "Call the roofer.")


def correction(number: int, at: float) -> Change:
    return Change(
        id=f"ch_{number}", kind="text", at=BEGAN, segment_id=f"a{number}", start=at, end=at + 4, heard="Machine.",
        before="Machine.", text=TALK[number], places={f"a{number}": "Machine."},
    )  # fmt: skip


@pytest.fixture
def talk(make: Make) -> Memory:
    items = [ActionItem(description="Bring the jackets"), ActionItem(description="Call the roofer")]
    ticked = Change(
        id="ch_9", kind="item_change", at=BEGAN, item_id="ai_roof", item=items[1], fields={"completed": True}
    )
    return make(
        "talk", 0, said("a", *TALK),
        structured=Structured(title="Boat and roof", overview="All of it.", action_items=items,
                              events=[Event(title="Boat on Sunday", start=BEGAN + timedelta(days=2))]),
        edits=UserEdits(
            title="My title", changes=[correction(1, 5.0), correction(2, 10.0), ticked], made_items=items,
            speakers={"SPEAKER_01": {"is_user": True, "person_id": None, "transcript": None, "version": None}},
        ),
    )  # fmt: skip


def test_each_part_has_its_words_from_its_own_second_zero(talk: Memory) -> None:
    first, second = made_of(split("talk", "a2"))
    assert [(item.id, item.start, item.end) for item in first.transcript_segments] == [("a0", 0, 4), ("a1", 5, 9)]
    assert [(item.id, item.start, item.end) for item in second.transcript_segments] == [("a2", 0, 4), ("a3", 5, 9)]
    assert (first.time_zero, second.time_zero) == (BEGAN, BEGAN + timedelta(seconds=10))
    assert (first.finished_at, second.started_at) == (BEGAN + timedelta(seconds=9), BEGAN + timedelta(seconds=10))
    assert [memory.id for memory in repository.list_memories("alice").memories] == [second.id, first.id]


def test_what_the_user_changed_goes_with_its_words(talk: Memory) -> None:
    first, second = made_of(split("talk", "a2"))
    assert [(item.id, item.start) for item in first.edits.changes] == [("ch_1", 5.0)]
    assert [(item.id, item.start) for item in second.edits.changes] == [("ch_2", 0.0), ("ch_9", 0.0)]
    assert second.heard()[0].text == "Machine."
    assert (first.edits.title, second.edits.title) == ("My title", None)
    assert [list(part.edits.speakers) for part in (first, second)] == [["SPEAKER_01"], ["SPEAKER_01"]]


def test_tasks_and_events_go_to_the_part_that_speaks_of_them(talk: Memory) -> None:
    first, second = made_of(split("talk", "a2"))
    assert [item.description for item in first.structured.action_items] == ["Bring the jackets"]
    assert [item.description for item in second.structured.action_items] == ["Call the roofer"]
    assert [len(part.structured.events) for part in (first, second)] == [1, 0]


def test_emotions_are_cut_with_the_words(talk: Memory) -> None:
    spans = [EmotionSpan(start=at, end=at + 2, emotions=[EmotionScore(name="joy", score=0.5)]) for at in (1.0, 12.0)]
    emotions.save_emotions("alice", "talk", EmotionTimeline(vendor="v", model="m", kind="estimate", spans=spans))
    told = [emotions.load_emotions("alice", part.id) for part in made_of(split("talk", "a2"))]
    assert [[span.start for span in timeline.spans] for timeline in told if timeline] == [[1.0], [2.0]]


def test_where_both_parts_begin_at_once_the_emotions_are_the_second_ones(make: Make) -> None:
    make("talk", 0, [item.model_copy(update={"start": 0.0}) for item in said("a", "We go.", "I stay.")])
    span = EmotionSpan(start=1.0, end=2.0, emotions=[EmotionScore(name="joy", score=0.5)])
    emotions.save_emotions("alice", "talk", EmotionTimeline(vendor="v", model="m", kind="estimate", spans=[span]))
    told = [emotions.load_emotions("alice", part.id) for part in made_of(split("talk", "a1"))]
    assert [timeline.spans if timeline else None for timeline in told] == [[], [span]]


def test_undone_the_talk_is_one_again_and_its_parts_are_gone(talk: Memory) -> None:
    before = repository.get_memory("alice", "talk").model_dump(exclude={"revision"})
    row = split("talk", "a2")
    parts = made_of(row)
    undone(row)
    assert repository.get_memory("alice", "talk").model_dump(exclude={"revision"}) == before
    assert [repository.find_memory("alice", part.id) for part in parts] == [None, None]


def test_parts_that_are_merged_again_say_what_the_talk_said(talk: Memory) -> None:
    parts = made_of(split("talk", "a2"))
    runs_end(*parts)
    (whole,) = made_of(merged(*(part.id for part in parts)))
    assert [(item.id, item.start, item.text) for item in whole.transcript_segments] == [
        (item.id, item.start, item.text) for item in talk.transcript_segments
    ]
    assert [change.start for change in whole.edits.changes if change.kind == "text"] == [5.0, 10.0]


@pytest.mark.parametrize(("segment", "code"), [("a0", "empty_part"), ("nothing", "no_segment")])
def test_each_part_must_have_words(talk: Memory, segment: str, code: str) -> None:
    with pytest.raises(NotPossible) as refused:
        asking.split("alice", "talk", segment, fence=nothing)
    assert refused.value.code == code


def test_both_parts_are_in_the_folder_and_the_first_has_the_comments(make: Make) -> None:
    note = Comment(id="cm_1", text="Mine", at=BEGAN)
    used = Structured(title="All", sections=[Section(heading="Boats")], template=AppliedTemplate(id="diary", name="D"))
    edits = UserEdits(folder_id="fo_a", tag_ids=["tg_a"], comments=[note], template_id="diary")
    make("talk", 0, said("a", *TALK), structured=used, edits=edits)
    first, second = made_of(split("talk", "a2"))
    assert first.edits.labels() == second.edits.labels() == ["fo_a", "tg_a"]
    assert (first.edits.comments, second.edits.comments) == ([note], [])
    assert [part.edits.template_id for part in (first, second)] == ["diary", "diary"]
    assert [part.structured.sections for part in (first, second)] == [[], []]
