"""Which conversation a stretch of an offline recording belongs to. Seconds of the wall clock, gap of 120."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from memories.offline.placing import Group, Known, Recording, place

DAY = 100_000.0


def recording(number: int, began: float, seconds: float, *regions: tuple[float, float]) -> Recording:
    return Recording(number, DAY + began, seconds, regions or [(0.0, seconds)])


def known(name: str, began: float, last: float, **more: Any) -> Known:
    covered = more.pop("covered", [(began, last)])
    spans = [(DAY + start, DAY + end) for start, end in covered]
    return Known(name, DAY + began, DAY + last, covered=spans, **more)


def placed(*recordings: Recording, beside: Any = (), longest: float = 21_600.0) -> list[Group]:
    return place(recordings, beside, gap=120.0, longest=longest)


def shown(result: list[Group]) -> list[tuple[str, list[tuple[int, float, float]]]]:
    return [(group.conversation, [(part.number, part.start, part.end) for part in group.parts]) for group in result]


def test_files_within_the_gap_are_one_conversation_and_behind_it_another() -> None:
    result = placed(recording(0, 0, 60), recording(1, 100, 50), recording(2, 400, 30))
    assert shown(result) == [("", [(0, 0.0, 60.0), (1, 0.0, 50.0)]), ("", [(2, 0.0, 30.0)])]


def test_a_silence_of_the_gap_within_a_file_ends_the_conversation_and_a_shorter_one_does_not() -> None:
    ended = placed(recording(0, 0, 400, (10.0, 20.0), (139.9, 150.0), (270.0, 300.0)))
    assert shown(ended) == [("", [(0, 9.0, 151.0)]), ("", [(0, 269.0, 301.0)])]


def test_files_in_any_order_are_placed_by_when_they_were_captured() -> None:
    result = placed(recording(0, 90, 20), recording(1, 0, 30))
    assert shown(result) == [("", [(1, 0.0, 30.0), (0, 0.0, 20.0)])]


def test_what_two_files_have_in_common_is_taken_once() -> None:
    result = placed(recording(0, 0, 60), recording(1, 40, 60))
    assert shown(result) == [("", [(0, 0.0, 60.0), (1, 20.0, 60.0)])]


def test_a_file_that_another_one_holds_whole_is_heard() -> None:
    result = placed(recording(0, 0, 60), recording(1, 10, 20))
    assert shown(result) == [("", [(0, 0.0, 60.0)])]


def test_what_follows_a_live_conversation_within_the_gap_continues_it() -> None:
    result = placed(recording(0, 150, 30), beside=[known("live", 0, 100)])
    assert shown(result) == [("live", [(0, 0.0, 30.0)])]


@pytest.mark.parametrize("why", ["ended", "the gap has passed", "deleted"])
def test_what_follows_a_conversation_that_is_over_is_another(why: str) -> None:
    over = known("live", 0, 100, ended=why == "ended", there=why != "deleted")
    began = 230 if why == "the gap has passed" else 150
    assert shown(placed(recording(0, began, 30), beside=[over])) == [("", [(0, 0.0, 30.0)])]


def test_only_what_was_not_heard_live_is_taken_from_a_file_that_overlaps_it() -> None:
    """A device that stores what it sends: the live session heard all but 60 to 90 and what came after 200."""
    live = known("live", 0, 200, covered=[(0, 60), (90, 200)])
    result = placed(recording(0, 0, 260), beside=[live])
    assert shown(result) == [("live", [(0, 60.0, 90.0), (0, 200.0, 260.0)])]
    assert placed(recording(1, 10, 40), beside=[live]) == []


def test_a_hole_in_a_conversation_that_has_ended_is_filled_and_nothing_is_put_behind_its_end() -> None:
    over = known("live", 0, 200, covered=[(0, 60), (90, 200)], ended=True)
    result = placed(recording(0, 50, 210), beside=[over])
    assert shown(result) == [("live", [(0, 10.0, 40.0)]), ("", [(0, 150.0, 210.0)])]


def test_what_was_heard_and_deleted_is_not_made_again() -> None:
    gone = known("live", 0, 100, there=False)
    assert shown(placed(recording(0, 0, 100), beside=[gone])) == []


def test_of_two_conversations_the_newest_that_had_begun_is_continued() -> None:
    both = [known("first", 0, 100), known("second", 300, 320)]
    result = placed(recording(0, 150, 20), recording(1, 350, 20), beside=both)
    assert shown(result) == [("first", [(0, 0.0, 20.0)]), ("second", [(1, 0.0, 20.0)])]


def test_talk_that_goes_on_for_longer_than_a_recording_may_be_is_several_conversations() -> None:
    result = placed(*(recording(number, number * 100, 100) for number in range(5)), longest=250.0)
    assert [len(group.parts) for group in result] == [2, 2, 1]


def test_a_click_is_no_conversation() -> None:
    assert placed(recording(0, 0, 60, (10.0, 10.2))) == []


def test_minutes_of_an_app_whose_clock_counts_seconds_are_one_conversation_without_a_moment_twice() -> None:
    """The app cuts what it records into files of a minute, and names them by the second."""
    result = placed(*(recording(number, number * 60, 60.02) for number in range(30)))
    [group] = result
    spans = [(60 * part.number + part.start, 60 * part.number + part.end) for part in group.parts]
    assert len(spans) == 30
    assert all(end <= begin + 1e-6 for (_, end), (begin, _) in pairwise(spans))
    assert sum(end - start for start, end in spans) == pytest.approx(29 * 60 + 60.02, abs=0.1)
