"""A calendar flag that a person set survives every later run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memories import editing
from memories.pipeline.rules import user_edits as applied
from memories.repository import memories as repository
from memories.shapes import Event, Memory, Structured, UserEdits, event_key

UID = "flags"
START = datetime(2026, 11, 24, 15, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "found",
    [Event(title="Dentist", start=START), Event(title=" dentist", start=START.replace(hour=16))],
    ids=["the same event", "the same title at another hour"],
)
def test_a_flag_set_through_the_api_is_laid_over_what_the_next_run_finds(found: Event) -> None:
    """The original's write-back lost event flags."""
    first = Structured(title="Talk", events=[Event(title="Dentist", start=START), Event(title="Train", start=START)])
    repository.create_memory(UID, Memory(id="m", created_at=START, structured=first))
    memory = editing.set_events_created(UID, "m", {0: True})
    made = applied.structured(Structured(title="Talk", events=[found, Event(title="Train", start=START)]), memory.edits)
    assert [event.created for event in made.events] == [True, False]


MON, TUE = datetime(2026, 12, 7, 9, tzinfo=UTC), datetime(2026, 12, 8, 9, tzinfo=UTC)


def event(title: str, start: datetime, *, created: bool = False) -> Event:
    return Event(title=title, start=start, created=created)


def after(before: list[Event], found: list[Event], flags: dict[str, bool] | None = None) -> list[tuple[str, int, bool]]:
    """Title, day and flag of the events once a run that found ``found`` is published over ``before``."""
    made = applied.keep_flags(Structured(title="x", events=before), Structured(title="x", events=found))
    laid = applied.structured(made, UserEdits(events_created=flags or {}))
    return [(item.title, item.start.day, item.created) for item in laid.events]


FLAGGED = event("Stand-up", MON, created=True)
FLAG = {event_key("Stand-up", MON): True}


@pytest.mark.parametrize("flags", [None, FLAG], ids=["only in the document", "set through the API"])
class TestWhichEventAFlagIsOf:
    def test_the_same_meeting_on_another_day_is_not_ticked_off(self, flags: dict[str, bool] | None) -> None:
        """The title alone decided: a weekly meeting was in the calendar once and counted as there every time."""
        found = [event("Stand-up", TUE), event("Stand-up", MON)]
        assert after([FLAGGED], found, flags) == [("Stand-up", 8, False), ("Stand-up", 7, True)]

    def test_one_that_has_another_name_now_stays_ticked_off(self, flags: dict[str, bool] | None) -> None:
        assert after([FLAGGED], [event("Team stand-up", MON)], flags) == [("Team stand-up", 7, True)]
        assert after([FLAGGED], [event("Daily", MON)], flags) == [("Daily", 7, True)]

    def test_one_that_was_moved_stays_ticked_off_where_no_other_has_its_name(
        self, flags: dict[str, bool] | None
    ) -> None:
        assert after([FLAGGED], [event("stand-up", TUE)], flags) == [("stand-up", 8, True)]
        moved = after([FLAGGED, event("Stand-up", TUE)], [event("Stand-up", TUE.replace(hour=11))], flags)
        assert ("Stand-up", 8, False) in moved

    def test_one_that_is_not_found_again_is_kept(self, flags: dict[str, bool] | None) -> None:
        """It stands in the person's calendar."""
        assert after([FLAGGED], [], flags) == [("Stand-up", 7, True)]
        assert after([FLAGGED], [event("Dentist", TUE)], flags) == [("Dentist", 8, False), ("Stand-up", 7, True)]

    def test_publishing_twice_is_publishing_once(self, flags: dict[str, bool] | None) -> None:
        once = after([FLAGGED], [event("Dentist", TUE)], flags)
        again = [event("Dentist", TUE), FLAGGED]
        assert after(again, [event("Dentist", TUE)], flags) == once


def test_what_the_person_took_back_is_not_kept() -> None:
    unflagged = {event_key("Stand-up", MON): False}
    assert after([event("Stand-up", MON)], [], unflagged) == []
    assert after([event("Stand-up", MON)], [event("Stand-up", TUE)], unflagged) == [("Stand-up", 8, False)]
