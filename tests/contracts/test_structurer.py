"""What every structurer must do, whoever is behind it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils.module_loading import import_string

from demo.script import CONVERSATION
from demo.vendors.server import VendorServer
from memories.shapes import Category, Structured
from memories.structuring.base import Structurer, StructureRequest, StructureResult
from omi.settings_providers import _STRUCTURERS
from transcription.segments import Segment

STARTED = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)  # a Wednesday
_local: dict[str, Structurer] = {}


def backend(name: str) -> Structurer:
    """The local one is kept: it holds 90 MB of weights."""
    if name != "local":
        made: Structurer = import_string(_STRUCTURERS[name])()
        return made
    if name not in _local:
        _local[name] = import_string(_STRUCTURERS[name])()
    return _local[name]


def conversation() -> list[Segment]:
    labels = {"Anna": "SPEAKER_00", "David": "SPEAKER_01", "Peter": "SPEAKER_02"}
    return [
        Segment(
            text=text,
            speaker=labels[who],
            is_user=who == "Anna",
            person_id="david" if who == "David" else None,
            start=5.0 * at,
            end=5.0 * at + 4,
        )
        for at, (who, _, text) in enumerate(CONVERSATION)
    ]


def ask(name: str, *texts: str, segments: list[Segment] | None = None, **options: Any) -> StructureResult:
    said = segments or [Segment(text=text, start=at, end=at + 1) for at, text in enumerate(texts)]
    options = {"language": "en", "names": {"david": "David"}, "user_name": "Anna", **options}
    return backend(name).structure(StructureRequest(said, STARTED, **options))


@pytest.fixture(params=sorted(_STRUCTURERS))
def name(request: pytest.FixtureRequest, vendors: VendorServer) -> str:
    return str(request.param)


def test_a_conversation_gets_title_overview_category_and_tasks(name: str) -> None:
    result = ask(name, segments=conversation(), time_zone="Europe/Paris")
    structured = result.structured
    assert not result.discarded
    assert 3 <= len(structured.title) <= 200
    assert len(structured.overview) > 40
    assert structured.emoji
    assert structured.category in Category
    assert any("letter" in item.description.lower() for item in structured.action_items)
    assert 2 <= len(structured.action_items) <= 20
    assert all(not item.completed for item in structured.action_items)


def test_events_are_ahead_in_time_capped_and_not_yet_created(name: str) -> None:
    for event in ask(name, segments=conversation(), time_zone="Europe/Paris").structured.events:
        assert event.start.tzinfo is not None
        assert STARTED - timedelta(hours=12) <= event.start <= STARTED + timedelta(days=800)
        assert 1 <= event.duration <= 180
        assert event.title
        assert event.created is False


def test_small_change_is_discarded_and_leaves_nothing(name: str) -> None:
    result = ask(name, "Okay, yes.")
    assert result.discarded
    assert result.discard_reason
    assert result.structured == Structured()


def test_a_reminder_is_never_discarded(name: str) -> None:
    """A fault of the original: single-line reminders were thrown away until upstream's PR 2362."""
    result = ask(name, "Remind me milk")
    assert not result.discarded
    assert result.structured.title


def test_more_than_a_hundred_words_are_always_kept(name: str) -> None:
    assert not ask(name, " ".join(["okay"] * 101)).discarded


def test_what_the_user_asked_for_is_never_discarded(name: str) -> None:
    assert not ask(name, "Okay, yes.", force=True).discarded


def test_nothing_said_is_discarded_unless_asked_for(name: str) -> None:
    assert ask(name, segments=[Segment(text=" ", start=0, end=1)]).discarded


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Asia/Kathmandu"])
def test_an_odd_time_zone_does_no_harm(name: str, zone: str) -> None:
    assert ask(name, "I have an appointment with the dentist tomorrow at three.", time_zone=zone).structured.title


@pytest.mark.parametrize(
    "text",
    [
        "مرحبا كيف حالك اليوم نحن نتحدث عن الطقس",
        "今天天气很好我们去公园散步然后回家吃饭",
        "\ud83d lone",
        "<b>&amp;</b> {0} %s " * 20,
    ],
)
def test_other_scripts_and_odd_characters_are_taken(name: str, text: str) -> None:
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert isinstance(ask(name, text, force=True), StructureResult)


def test_the_result_says_who_made_it_and_what_it_cost(name: str) -> None:
    result, made = ask(name, segments=conversation()), backend(name)
    assert result.method == made.model_name
    assert (result.input_tokens > 0) is (result.output_tokens > 0) is (result.cost > 0) is made.remote
