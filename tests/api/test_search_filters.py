"""What a search is asked among goes into the query: no hit is lost because better ones of others were cut first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memories import editing
from memories.passages import whole
from memories.search import word_index
from memories.shapes import Category, Memory, Structured
from speakers import people
from tests.api.conftest import Caller, segment

MANY = 150
"""More than the candidates that a search of ten hits looks at: four times ten and twenty by words and meaning."""
WORDS = "boat island bread life jackets morning sunday".split()


@pytest.fixture(autouse=True)
def embedder(settings: Any) -> None:
    settings.PROVIDERS = {**settings.PROVIDERS, "embedder": {"BACKEND": "tests.support.letters.Letters"}}


def ask(caller: Caller, query: str, **more: Any) -> set[str]:
    answer = caller.send("POST", "/v1/memories/search", {"query": query, **more})
    assert answer.status_code == 200, answer.content
    return {hit["memory"]["id"] for hit in answer.json()["hits"]}


@pytest.fixture
def crowd(alice: Caller, make_memory: Callable[..., Memory]) -> list[Memory]:
    """Everybody speaks of the boat; who is looked for speaks of it least."""
    made = []
    for number in range(MANY):
        text = " ".join([*WORDS] * 3) if number else "The boat."
        made.append(
            make_memory(
                structured=Structured(title="Boat", overview=text, category=Category.WORK if number else "travel"),
                transcript_segments=[segment("s0", text, "SPEAKER_00", 0, 4)],
                created_at=datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=number),
                discarded=bool(number) and number % 2 == 0,
            )
        )
    whole.write("alice", made)
    return made


def test_a_person_is_found_behind_a_hundred_better_hits(alice: Caller, crowd: list[Memory]) -> None:
    person = people.create_person("alice", "David")
    editing.assign_segments("alice", crowd[0].id, ["s0"], editing.Decision(person_id=person.id))
    for word in WORDS:
        assert ask(alice, word, person_id=person.id) <= {crowd[0].id}
    assert ask(alice, "boat", person_id=person.id) == {crowd[0].id}
    assert ask(alice, "a trip over the water in the boat", person_id=person.id, limit=1) == {crowd[0].id}
    assert ask(alice, "boat", person_id="nobody") == set()


def test_a_person_who_was_un_named_is_not_found_any_more(alice: Caller, crowd: list[Memory]) -> None:
    person = people.create_person("alice", "David")
    editing.assign_segments("alice", crowd[0].id, ["s0"], editing.Decision(person_id=person.id))
    assert ask(alice, "boat", person_id=person.id) == {crowd[0].id}
    editing.assign_segments("alice", crowd[0].id, ["s0"], editing.Decision(assigned=False))
    assert ask(alice, "boat", person_id=person.id) == set()


def test_a_category_is_found_behind_a_hundred_better_hits(alice: Caller, crowd: list[Memory]) -> None:
    assert ask(alice, "boat", category="travel") == {crowd[0].id}
    assert ask(alice, "boat", category="travel", limit=1) == {crowd[0].id}


def test_discarded_ones_take_no_place_from_the_others(alice: Caller, crowd: list[Memory]) -> None:
    found = ask(alice, "boat island", limit=50)
    assert len(found) == 50
    assert not found & {memory.id for memory in crowd if memory.discarded}


def test_a_day_and_a_person_together(alice: Caller, crowd: list[Memory]) -> None:
    person = people.create_person("alice", "David")
    for number in (0, 100):
        editing.assign_segments("alice", crowd[number].id, ["s0"], editing.Decision(person_id=person.id))
    day = {"start_date": crowd[99].created_at.isoformat(), "end_date": crowd[101].created_at.isoformat()}
    assert ask(alice, "boat", person_id=person.id, include_discarded=True, **day) == {crowd[100].id}


def test_each_of_many_people_is_found(alice: Caller, crowd: list[Memory]) -> None:
    known = {number: people.create_person("alice", f"Person {number}").id for number in range(1, 40, 2)}
    for number, person in known.items():
        editing.assign_segments("alice", crowd[number].id, ["s0"], editing.Decision(person_id=person))
    wrong = [number for number, person in known.items() if ask(alice, "boat", person_id=person) != {crowd[number].id}]
    assert wrong == []
    assert word_index.ids("alice", word_index.Among(person_id=known[1]), 10) == [crowd[1].id]
