"""A calendar flag that a person set survives every later run."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from memories import edits
from memories.pipeline import edits as applied
from memories.repository import memories as repository
from memories.shapes import Event, Memory, Structured

UID = "flags"
START = datetime(2026, 11, 24, 15, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "found",
    [Event(title="Dentist", start=START), Event(title=" dentist", start=START.replace(hour=16))],
    ids=["the same event", "the same title at another hour"],
)
def test_a_flag_set_through_the_api_is_laid_over_what_the_next_run_finds(found: Event) -> None:
    """omi-protocol 4.3 no. 40: the original's write-back lost event flags."""
    first = Structured(title="Talk", events=[Event(title="Dentist", start=START), Event(title="Train", start=START)])
    repository.create_memory(UID, Memory(id="m", created_at=START, structured=first))
    memory = edits.set_events_created(UID, "m", {0: True})
    made = applied.structured(Structured(title="Talk", events=[found, Event(title="Train", start=START)]), memory.edits)
    assert [event.created for event in made.events] == [True, False]
