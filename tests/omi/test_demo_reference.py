"""The demo fails below the bounds that it states."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from demo.material import bundled, second
from demo.reference import CONVERSATION, SECOND, Reference, faults

ITEMS = {
    "pipes": "Peter", "budget": "Anna", "letter to the parents": "Anna", "builder": "David", "report": "Peter",
    "flowers": "Anna",
}  # fmt: skip


def part(errors: float = 0.0, speakers: float = 1.0) -> dict[str, Any]:
    return {"word_error_rate": errors, "speakers": {"accuracy": speakers, "covered": 1.0}}


def structured(**changes: Any) -> dict[str, Any]:
    items = [{"description": f"See to the {what}", "owner": owner} for what, owner in ITEMS.items()]
    events = [{"title": title} for title in ("Train to Boston", "Appointment with the dentist", "The final decision")]
    made = {"title": "The school kitchen", "overview": "Pipes.", "action_items": items, "events": events}
    return {**made, **changes}


def test_a_memory_as_a_person_would_write_it_is_without_fault() -> None:
    assert faults(CONVERSATION, part(), structured(), live=part()) == []


@pytest.mark.parametrize(
    ("heard", "live", "changes", "said"),
    [
        (part(errors=0.011), part(), {}, "word errors"),
        (part(speakers=0.99), part(), {}, "right speaker"),
        (part(), part(errors=0.05), {}, "live transcript"),
        (part(), part(speakers=0.9), {}, "live transcript"),
        (
            part(),
            part(),
            {"action_items": [{"description": "Send you my paypal", "owner": "Anna"}]},
            "nobody was to do",
        ),
        (part(), part(), {"action_items": [{"description": "See to the pipes", "owner": "Anna"}]}, "nobody was to do"),
        (part(), part(), {"action_items": []}, "missed"),
        (part(), part(), {"events": [{"title": "Is a good I have an appointment with"}]}, "nothing of this kind"),
        (part(), part(), {"events": []}, "missed"),
        (part(), part(), {"title": "Small talk", "overview": "They talk."}, "what it was about"),
    ],
)
def test_each_bound_that_is_missed_is_a_fault(
    heard: dict[str, Any], live: dict[str, Any], changes: dict[str, Any], said: str
) -> None:
    found = faults(CONVERSATION, heard, structured(**changes), live=live)
    assert any(said in fault for fault in found), found


def test_an_item_twice_is_one_too_many() -> None:
    items = structured()["action_items"]
    assert faults(CONVERSATION, part(), structured(action_items=[*items, items[0]])) != []


def test_both_bundled_talks_have_a_script_and_bounds() -> None:
    for material in (bundled(), second()):
        assert isinstance(material.reference, Reference)
        assert material.recording.is_file()
        assert material.enrol_user is not None
        assert material.enrol_user.is_file()
        assert len(material.words) > 100
        assert all(word["start"] <= word["end"] for word in material.words)
    assert second().reference is SECOND
    assert second().recording.stat().st_size + second().enrol_user.stat().st_size < 600_000  # type: ignore[union-attr]


def test_the_second_talk_overlaps_and_corrects_itself() -> None:
    words = second().words
    turns = [(a["speaker"], a["end"], b["speaker"], b["start"]) for a, b in itertools.pairwise(words)]
    assert sum(who != other and start < end for who, end, other, start in turns) >= 3
    assert {"um", "uh", "wait", "sorry"} <= {word["word"].casefold() for word in words}
