"""A correction is found again in another transcript; an action item that was touched is never lost."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memories.pipeline.rules import changes
from memories.shapes import ActionItem, Change, Memory, Structured, UserEdits
from transcription.segments import Segment

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def said(identity: str, text: str, start: float, end: float) -> Segment:
    return Segment(id=identity, text=text, start=start, end=end)


def correction(heard: str, text: str, start: float = 0.0, end: float = 4.0, name: str = "s0") -> Change:
    return Change(id=f"ch_{text}", kind="text", at=NOW, segment_id=name, start=start, end=end, heard=heard, text=text)


def laid(segments: list[Segment], *made: Change) -> tuple[list[str], list[bool]]:
    shown, edits = changes.lay_texts(segments, UserEdits(changes=list(made)))
    return [item.text for item in shown], [change.orphaned for change in edits.changes]


HEARD = "we met hannah at the harbour on sunday"
RIGHT = "we met Anna at the harbour on Sunday"


@pytest.mark.parametrize(
    ("segments", "shown"),
    [
        ([said("s0", HEARD, 0, 4)], [RIGHT]),
        ([said("x", "We met Hanna at the harbour on Sunday.", 0.2, 4.1)], [RIGHT]),
        ([said("x", f"Well, {HEARD} and it rained", 0, 9)], [f"Well, {RIGHT} and it rained"]),
        ([said("x", "we met hannah at", 0, 2), said("y", "the harbour on sunday", 2, 4)],
         ["we met Anna at", "the harbour on Sunday"]),
        ([said("x", RIGHT, 0, 4)], [RIGHT]),
    ],
    ids=["the same", "heard a little otherwise", "within a longer one", "cut in two", "heard right by now"],
)  # fmt: skip
def test_a_correction_is_carried_over_by_time_and_words(segments: list[Segment], shown: list[str]) -> None:
    assert laid(segments, correction(HEARD, RIGHT)) == (shown, [False])


@pytest.mark.parametrize(
    "segments",
    [[said("x", HEARD, 60, 64)], [said("x", "something else entirely was spoken there", 0, 4)], []],
    ids=["at another time", "other words", "nothing there"],
)
def test_a_correction_without_a_place_is_orphaned_and_changes_nothing(segments: list[Segment]) -> None:
    assert laid(segments, correction(HEARD, RIGHT)) == ([item.text for item in segments], [True])


def test_a_writing_without_blanks_is_carried_over() -> None:
    made = correction("我们星期天在港口见到了汉娜", "我们星期天在港口见到了安娜")
    assert laid([said("x", "好的，我们星期天在港口见到了汉那", 0, 6)], made)[0] == ["好的，我们星期天在港口见到了安娜"]


def test_the_last_of_two_corrections_holds_and_the_machines_words_are_known() -> None:
    first, second = correction(HEARD, "one"), correction(HEARD, RIGHT)
    shown, edits = changes.lay_texts([said("s0", HEARD, 0, 4)], UserEdits(changes=[first, second]))
    memory = Memory(id="m", created_at=NOW, transcript_segments=shown, edits=edits)
    assert [item.text for item in shown] == [RIGHT]
    assert [item.text for item in memory.heard()] == [HEARD]


@pytest.mark.parametrize("said_at", [0.0, 1.5, 3.0])
def test_of_words_that_are_said_again_those_at_the_time_are_corrected(said_at: float) -> None:
    again = [said(f"x{number}", "No.", number * 1.5, number * 1.5 + 0.5) for number in range(3)]
    made = correction("No.", "No, Anna.", said_at, said_at + 0.5, name="gone")
    wanted = ["No, Anna." if item.start == said_at else "No." for item in again]
    assert laid(again, made) == (wanted, [False])


def test_a_correction_whose_words_reach_beyond_its_time_takes_all_of_them() -> None:
    parts = [said("x", "we met hannah at the", 0, 3.9), said("y", "harbour on sunday", 4.1, 5)]
    assert laid(parts, correction(HEARD, RIGHT))[0] == ["we met Anna at the", "harbour on Sunday"]


def run(made: list[str], memory: Memory) -> Memory:
    """The memory after a run that found these action items."""
    found = Structured(title="t", action_items=[ActionItem(description=text) for text in made])
    structured, edits = changes.lay_structure(memory, found, memory.edits)
    return memory.model_copy(update={"structured": structured, "edits": edits})


def change(kind: str, description: str, **fields: object) -> Change:
    item = ActionItem(description=description)
    return Change.model_validate(
        {"id": f"{kind}{description}", "kind": kind, "at": NOW, "item_id": changes.item_id(description), "item": item,
         "fields": fields}
    )  # fmt: skip


def shown(memory: Memory) -> list[tuple[str, bool]]:
    return [(item.description, item.completed) for item in memory.structured.action_items]


def test_what_the_person_did_to_action_items_survives_every_run() -> None:
    edits = UserEdits(
        changes=[
            change("item_add", "Water the plants"),
            change("item_change", "Call the dentist", completed=True),
            change("item_delete", "Buy a boat"),
        ]
    )
    memory = Memory(id="m", created_at=NOW, structured=Structured(title="t"), edits=edits)
    memory = run(["Call the dentist", "Buy a boat", "Book seats"], memory)
    once = [("Call the dentist", True), ("Book seats", False), ("Water the plants", False)]
    assert shown(memory) == once
    assert shown(run(["Call the dentist", "Buy a boat", "Book seats"], memory)) == once
    # Neither is found again; one is said in other words, the deleted one as before.
    memory = run(["Call up the dentist", "buy a boat!"], memory)
    assert shown(memory) == [("Call up the dentist", True), ("Water the plants", False)]
    assert shown(run([], memory)) == [("Water the plants", False), ("Call the dentist", True)]


def test_what_was_said_of_one_task_is_never_taken_for_another_that_stood_beside_it() -> None:
    anna, bob, both = "Send the report to Anna", "Send the report to Bob", "Send the reports to both"
    beside = [changes.item_id(bob)]
    gone = change("item_delete", anna).model_copy(update={"beside": beside})
    memory = Memory(id="m", created_at=NOW, structured=Structured(title="t"), edits=UserEdits(changes=[gone]))
    memory = run([anna, bob], memory)
    assert shown(memory) == [(bob, False)]
    assert shown(run([bob], memory)) == [(bob, False)]
    assert shown(run(["Send that report to Anna", bob], memory)) == [(bob, False)]
    added = memory.model_copy(update={"edits": UserEdits(changes=[change("item_add", bob), change("item_add", anna)])})
    assert shown(run([both], added)) == [(both, False), (bob, False), (anna, False)]
    ticked = UserEdits(changes=[change("item_add", bob), change("item_change", anna, completed=True)])
    assert shown(run([], memory.model_copy(update={"edits": ticked}))) == [(bob, False), (anna, True)]


def test_an_item_that_was_added_and_taken_back_does_not_return_with_a_later_change_of_it() -> None:
    added = change("item_add", "Water the plants").model_copy(update={"undone_at": NOW})
    edits = UserEdits(changes=[added, change("item_change", "Water the plants", completed=True)])
    assert changes.items([], edits) == []
