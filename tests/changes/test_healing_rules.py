"""A term in the place of a misheard word: whole words only, in any script, never over what the person wrote."""

from __future__ import annotations

import unicodedata

import pytest

from memories.pipeline.rules import changes, healing
from memories.shapes import Change, Memory, UserEdits
from memories.wording import composed
from tests.changes.test_rules import NOW, correction, said


@pytest.mark.parametrize(
    ("text", "heard", "term", "shown"),
    [
        ("annna met Annna's aunt (ANNNA).", "Annna", "Anna", "Anna met Anna's aunt (Anna)."),
        ("Annnabell and Joannna stay", "Annna", "Anna", "Annnabell and Joannna stay"),
        ("to new   yolk and New Yolkers", "new yolk", "New York", "to New York and New Yolkers"),
        ("the C+ plan, c+", "c+", "C++", "the C++ plan, C++"),
        ("Anna said", "anna", "Anna", "Anna said"),
        ("room 7b, 17b", "7b", "7B", "room 7B, 17b"),
        ("नमस्ते राम और रामा", "राम", "राज", "नमस्ते राज और रामा"),
        ("我们在港口见到了汉娜和安", "汉娜", "安娜", "我们在港口见到了安娜和安"),
        ("在Annna家", "annna", "Anna", "在Anna家"),
        ("ผมไปหาแอนา", "แอนา", "แอนนา", "ผมไปหาแอนนา"),
        ("Мы видели Анну и Аннушку", "Анну", "Анна", "Мы видели Анна и Аннушку"),
        ("قال محمود لمحمود", "محمود", "محمد", "قال محمد لمحمود"),
        ("Zoe\u0308 came", "Zoë", "Zoé", "Zoé came"),
        ("a.b and axb", "a.b", "A", "A and axb"),
        ("in New York, York", "York", "New York", "in New York, New York"),
        ("in new  york", "york", "New York", "in New York"),
        ("Anna Lena and Anna", "Anna", "Anna Lena", "Anna Lena and Anna Lena"),
        ("I don't know Don, don’t I?", "don", "Dawn", "I don't know Dawn, don’t I?"),
        ("We're at Re's", "re", "Ray", "We're at Ray's"),
        ("l'annna d'Annna", "annna", "Anna", "l'Anna d'Anna"),
        ("1.5 or 5, 5:30", "5", "five", "1.5 or five, 5:30"),
        ("アンケートとアンさん", "アン", "アンヌ", "アンケートとアンヌさん"),
        ("ba a a", "a a", "x", "ba x"),
    ],
)
def test_whole_words_are_replaced_and_parts_of_others_are_not(text: str, heard: str, term: str, shown: str) -> None:
    assert healing.healed(text, heard, term) == shown


def test_what_has_no_place_stays_as_it_is_to_the_letter() -> None:
    decomposed = unicodedata.normalize("NFD", "Zoë came")
    assert healing.healed(decomposed, "Annna", "Anna") is decomposed


def test_a_run_of_marks_that_no_writing_has_is_not_sorted() -> None:
    """A hundred thousand of them took a minute for each word that was put right."""
    assert healing.healed("Annna e" + "\u0301\u0323" * 10_000, "annna", "Anna").startswith("Anna ")
    assert len(composed("e" + "\u0301\u0323" * 10_000)) < 10


@pytest.mark.parametrize(("text", "is_one"), [("Anna", True), ("汉", True), ("7", True), ("...", False), (" ", False)])
def test_marks_alone_are_no_word(text: str, is_one: bool) -> None:
    assert healing.is_healable(text) is is_one


def heal(heard: str, term: str, **more: object) -> Change:
    return Change.model_validate(
        {"id": f"ch_{heard}", "kind": "heal", "at": NOW, "heard": heard, "text": term, "healing": "h", **more}
    )


def shown(*made: Change) -> Memory:
    segments = [said("s0", "annna met bobb", 0, 4), said("s1", "annna left", 4, 8)]
    laid, edits = changes.lay_texts(segments, UserEdits(changes=list(made)))
    return Memory(id="m", created_at=NOW, transcript_segments=laid, edits=edits)


def texts(memory: Memory) -> list[str]:
    return [item.text for item in memory.transcript_segments]


def test_two_healings_of_a_sentence_hold_together_and_each_is_undone_alone() -> None:
    anna, bob = heal("annna", "Anna"), heal("bobb", "Bob")
    assert texts(shown(anna, bob)) == ["Anna met Bob", "Anna left"]
    assert texts(shown(anna.model_copy(update={"undone_at": NOW}), bob)) == ["annna met Bob", "annna left"]


def test_the_machines_words_are_known_below_a_healing() -> None:
    assert [item.text for item in shown(heal("annna", "Anna")).heard()] == ["annna met bobb", "annna left"]


@pytest.mark.parametrize("first", ["the person's words", "the healing"])
def test_what_the_person_wrote_is_not_touched_whichever_was_first(first: str) -> None:
    own, healed = correction("annna met bobb", "Annna met nobody"), heal("annna", "Anna")
    made = [own, healed] if first == "the person's words" else [healed, own]
    assert texts(shown(*made)) == ["Annna met nobody", "Anna left"]


def test_a_healing_that_finds_nothing_in_a_transcript_is_orphaned() -> None:
    memory = shown(heal("hannah", "Anna"))
    assert [item.orphaned for item in memory.edits.changes] == [True]


def test_a_healing_is_no_action_item() -> None:
    memory = shown(heal("annna", "Anna"))
    _, edits = changes.lay_structure(memory, memory.structured, memory.edits)
    assert edits.made_items is None
