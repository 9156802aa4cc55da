"""English dates in talk, resolved against the moment of the talk in the user's zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memories.structuring.dates import HORIZON, find
from memories.structuring.tongues.en import ENGLISH_TONGUE
from memories.structuring.tongues.en import WEEKDAYS as _WEEKDAYS

WEEKDAYS = list(_WEEKDAYS)
PARIS = ZoneInfo("Europe/Paris")
WEDNESDAY = datetime(2026, 11, 25, 10, 0, tzinfo=PARIS)


def first(text: str, anchor: datetime = WEDNESDAY) -> str | None:
    found = find(text, anchor)
    return f"{found[0].start:%Y-%m-%d %H:%M}" if found else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my train leaves next Monday at nine in the morning", "2026-11-30 09:00"),
        ("the dentist on Tuesday at three in the afternoon", "2026-12-01 15:00"),
        ("see you on friday", "2026-11-27 09:00"),
        ("on Wednesday", "2026-12-02 09:00"),
        ("next Friday", "2026-12-04 09:00"),
        ("this Friday at 14:30", "2026-11-27 14:30"),
        ("dinner at eight tomorrow", "2026-11-26 20:00"),
        ("at half past nine on friday", "2026-11-27 09:30"),
        ("quarter to ten on Monday", "2026-11-30 09:45"),
        ("tomorrow at noon", "2026-11-26 12:00"),
        ("the day after tomorrow", "2026-11-27 09:00"),
        ("in two hours", "2026-11-25 12:00"),
        ("in three weeks", "2026-12-16 09:00"),
        ("on the 5th of May", "2027-05-05 09:00"),
        ("on December 24th at 7 pm", "2026-12-24 19:00"),
        ("on twenty first of January 2028 at 12 am", "2028-01-21 00:00"),
        ("2026-12-31", "2026-12-31 09:00"),
        ("see you tonight", "2026-11-25 20:00"),
        ("I will call this afternoon", "2026-11-25 15:00"),
        ("call me at four", "2026-11-25 16:00"),
    ],
)
def test_what_is_said_is_found(text: str, expected: str) -> None:
    assert first(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "it was last Monday",
        "every Monday at twelve",
        "since Tuesday",
        "the work will take two days and cost four thousand dollars",
        "before the end of the month",
        "some time next week",
        "on 31 June",
        "on 9999-01-01",
        "at nine",
        "may I ask you something at two percent",
        "nothing at all",
    ],
)
def test_the_past_the_repeated_and_the_vague_are_left_out(text: str) -> None:
    assert first(text) is None


def test_a_deadline_is_told_from_an_appointment() -> None:
    assert [moment.deadline for moment in find("by Friday", WEDNESDAY)] == [True]
    assert [moment.deadline for moment in find("on Friday", WEDNESDAY)] == [False]


def test_two_moments_in_one_sentence_keep_their_own_clocks() -> None:
    found = find("monday at nine and tuesday at ten thirty", WEDNESDAY)
    assert [f"{moment.start:%a %H:%M}" for moment in found] == ["Mon 09:00", "Tue 10:30"]


def test_the_users_day_counts_and_daylight_saving_moves_no_clock() -> None:
    late = datetime(2026, 10, 24, 23, 30, tzinfo=PARIS)  # already Sunday elsewhere; clocks change that night
    start = find("tomorrow at nine", late)[0].start
    assert (f"{start:%Y-%m-%d %H:%M}", start.utcoffset()) == ("2026-10-25 09:00", timedelta(hours=1))


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.sampled_from(WEEKDAYS), st.booleans())
def test_a_weekday_is_always_ahead_and_that_weekday(moment: datetime, day: str, following: bool) -> None:
    anchor = moment.replace(tzinfo=PARIS)
    (found,) = find(f"{'next ' if following else 'on '}{day} at 12 pm", anchor)
    assert found.start.weekday() == WEEKDAYS.index(day)
    ahead = (found.start.date() - anchor.date()).days
    assert 1 <= ahead <= (13 if following else 7)
    assert following is False or found.start.isocalendar().week != anchor.isocalendar().week


@given(
    st.text(max_size=80)
    | st.lists(st.sampled_from("next on monday at nine 31 may 2027 12 pm in 5 hours".split())).map(" ".join)
)
def test_any_text_is_read_without_an_error_and_only_into_the_future(text: str) -> None:
    for moment in find(text, WEDNESDAY):
        assert WEDNESDAY < moment.start <= WEDNESDAY + HORIZON
        assert all(0 <= start < end <= len(text) for start, end in moment.spans)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nine", 9),
        ("twenty five", 25),
        ("fifty-nine", 59),
        ("21st", 21),
        ("third", 3),
        ("thirtieth", 30),
        ("cat", None),
    ],
)
def test_spoken_numbers(text: str, value: int | None) -> None:
    assert ENGLISH_TONGUE.number(text) == value
