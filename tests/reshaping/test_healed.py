"""A healed word in memories that are merged or split: it stays, and is taken back there, too."""

from __future__ import annotations

import pytest

from memories.changes import healing
from memories.repository import memories as repository
from memories.shapes import Memory
from tests.reshaping.conftest import Make, made_of, merged, nothing, said, split, undone

pytestmark = pytest.mark.django_db


def texts(memory: Memory) -> list[str]:
    return [item.text for item in repository.get_memory("alice", memory.id).transcript_segments]


def test_merged_a_healing_holds_and_is_taken_back_in_the_originals_too(make: Make) -> None:
    first = make("first", 0, said("a", "Hannah comes."))
    second = make("second", 10, said("b", "And hannah goes."))
    made = healing.begin("alice", "hannah", "Anna", fence=nothing)
    row = merged(first.id, second.id)
    [whole] = made_of(row)
    assert texts(whole) == ["Anna comes.", "And Anna goes."]
    assert [item.text for item in whole.heard()] == ["Hannah comes.", "And hannah goes."]
    healing.undo("alice", made.pk, fence=nothing)
    assert texts(whole) == ["Hannah comes.", "And hannah goes."]
    undone(row)
    assert (texts(first), texts(second)) == (["Hannah comes."], ["And hannah goes."])


def test_split_a_healing_holds_in_both_halves_and_is_taken_back_in_both(make: Make) -> None:
    whole = make("whole", 0, said("a", "Hannah comes.", "And hannah goes."))
    made = healing.begin("alice", "hannah", "Anna", fence=nothing)
    halves = made_of(split(whole.id, whole.transcript_segments[1].id))
    assert [texts(half) for half in halves] == [["Anna comes."], ["And Anna goes."]]
    healing.undo("alice", made.pk, fence=nothing)
    assert [texts(half) for half in halves] == [["Hannah comes."], ["And hannah goes."]]
