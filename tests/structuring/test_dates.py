"""English dates in talk, resolved against the moment of the talk in the user's zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memories.structuring.actions import action_items
from memories.structuring.dates import HORIZON, find, period_end
from memories.structuring.events import events
from memories.structuring.sentences import Sentence
from memories.structuring.tongues.en import ENGLISH_TONGUE
from memories.structuring.tongues.en import WEEKDAYS as _WEEKDAYS
from memories.structuring.tongues.known import by_code

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


ZONES = {
    # zone: the moment before the clock goes on, and before it goes back (both local)
    "Europe/Paris": (datetime(2026, 3, 29, 0, 30), datetime(2026, 10, 25, 0, 30)),
    "America/New_York": (datetime(2026, 3, 8, 0, 30), datetime(2026, 11, 1, 0, 30)),
    "Australia/Lord_Howe": (datetime(2026, 10, 4, 0, 30), datetime(2026, 4, 5, 0, 30)),  # by half an hour
    "America/Santiago": (datetime(2026, 9, 5, 22, 30), datetime(2026, 4, 4, 22, 30)),  # at midnight
    "Asia/Kathmandu": (datetime(2026, 3, 29, 0, 30), datetime(2026, 10, 25, 0, 30)),  # never; 5 h 45 min from UTC
}


@pytest.mark.parametrize("change", [0, 1], ids=["forward", "back"])
@pytest.mark.parametrize("zone", ZONES)
def test_in_five_hours_is_five_hours_later_whatever_clocks_do(zone: str, change: int) -> None:
    anchor = ZONES[zone][change].replace(tzinfo=ZoneInfo(zone))
    for text, passed in [
        ("in five hours", timedelta(hours=5)),
        ("in half an hour", timedelta(minutes=30)),
        ("in an hour and a half", timedelta(minutes=90)),
        ("in 90 minutes", timedelta(minutes=90)),
        ("in 48 hours", timedelta(hours=48)),
    ]:
        (found,) = find(text, anchor)
        assert found.start.astimezone(UTC) - anchor.astimezone(UTC) == passed, text


@pytest.mark.parametrize("change", [0, 1], ids=["forward", "back"])
@pytest.mark.parametrize("zone", ZONES)
def test_days_and_names_of_days_keep_the_users_clock_whatever_clocks_do(zone: str, change: int) -> None:
    anchor = ZONES[zone][change].replace(tzinfo=ZoneInfo(zone)) - timedelta(days=1)
    for text in (
        "tomorrow at nine",
        "in two days at nine",
        "next Monday at nine",
        "in a week at nine",
        "in a month at nine",
    ):
        (found,) = find(text, anchor)
        assert f"{found.start:%H:%M}" == "09:00", text
    assert find("tomorrow at nine", anchor)[0].start.date() == anchor.date() + timedelta(days=1)


def test_a_moment_in_the_hour_that_comes_twice_is_still_ahead() -> None:
    """Python compares two times of one zone by their clocks: 02:10 of the second hour looked past at 02:50."""
    anchor = datetime(2026, 10, 25, 2, 50, tzinfo=PARIS)
    (found,) = find("in twenty minutes", anchor)
    assert (f"{found.start:%H:%M}", found.start.fold) == ("02:10", 1)


def test_an_hour_that_clocks_jump_over_is_read_as_a_moment_that_exists() -> None:
    (found,) = find("tomorrow at 2:30 am", datetime(2026, 3, 28, 12, 0, tzinfo=PARIS))
    assert found.start.astimezone(UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert f"{found.start:%H:%M}" == "03:30"


def test_items_and_events_take_durations_through_utc_too() -> None:
    talk = [
        Sentence("I'll call the bank in five hours.", "Anna", True, 0.0),
        Sentence("The meeting starts in five hours.", "Anna", True, 1.0),
    ]
    for zone, changes in ZONES.items():
        for change in changes:
            anchor = change.replace(tzinfo=ZoneInfo(zone))
            later = anchor.astimezone(UTC) + timedelta(hours=5)
            assert [item.due_at for item in action_items(talk, anchor)] == [later], zone
            assert [event.start for event in events(talk, anchor)] == [later], zone


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("by the end of the day", "2026-11-25"),
        ("this week", "2026-11-29"),
        ("next week", "2026-12-06"),
        ("before the end of the month", "2026-11-30"),
        ("next month", "2026-12-31"),
        ("by the end of the year", "2026-12-31"),
    ],
)
def test_a_period_ends_on_its_last_day(text: str, last: str) -> None:
    found = period_end(text, WEDNESDAY)
    assert found is not None
    assert found[0].isoformat() == last


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("de", "am Dienstag um halb vier", "2026-12-01 15:30"),
        ("de", "morgen früh um acht", "2026-11-26 08:00"),
        ("de", "nächsten Montag um 15 Uhr 30", "2026-11-30 15:30"),
        ("de", "am 24.12. um 18 Uhr", "2026-12-24 18:00"),
        ("de", "am dritten Mai", "2027-05-03 09:00"),
        ("de", "Freitagabend", "2026-11-27 19:00"),
        ("de", "in einer halben Stunde", "2026-11-25 10:30"),
        ("de", "guten Morgen", None),
        ("de", "jeden Montag um neun", None),
        ("es", "el martes a las tres y media de la tarde", "2026-12-01 15:30"),
        ("es", "mañana por la mañana", "2026-11-26 09:00"),
        ("es", "el viernes que viene a las diez", "2026-12-04 10:00"),
        ("es", "el 5 de mayo", "2027-05-05 09:00"),
        ("es", "dentro de dos horas", "2026-11-25 12:00"),
        ("es", "el lunes pasado", None),
        ("es", "cada martes a las dos", None),
        ("fr", "mardi prochain à 15h30", "2026-12-01 15:30"),
        ("fr", "demain matin à neuf heures", "2026-11-26 09:00"),
        ("fr", "le 24 décembre à dix-huit heures", "2026-12-24 18:00"),
        ("fr", "dans une demi-heure", "2026-11-25 10:30"),
        ("fr", "ce soir à huit heures", "2026-11-25 20:00"),
        ("fr", "chaque mardi à huit heures", None),
    ],
)
def test_german_spanish_and_french_are_read(code: str, text: str, expected: str | None) -> None:
    found = find(text, WEDNESDAY, by_code(code))
    assert (f"{found[0].start:%Y-%m-%d %H:%M}" if found else None) == expected
