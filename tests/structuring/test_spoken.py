"""Talk as it is spoken: restarts, hedges, questions without a mark, sentences that a wrong turn edge cuts in two."""

from __future__ import annotations

import pytest

from memories.structuring.overview import bonus
from memories.structuring.sentences import Sentence, sentences, tidy
from memories.structuring.tongues.known import by_code
from transcription.segments import Segment


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("She was kind of, she was late again.", "She was late again."),
        ("So where do we basically, where do we park the trailer?", "So where do we park the trailer?"),
        ("I just, I need the receipt by noon.", "I need the receipt by noon."),
        ("They will, you know, like, they will call us on Monday.", "They will call us on Monday."),
        ("I like apples, I like pears.", "I like apples, I like pears."),
        ("We bought a tent, we bought two lamps.", "We bought a tent, we bought two lamps."),
        ("It was really, really cold.", "It was really cold."),
        ("I like, I like the blue one.", "I like the blue one."),
    ],
)
def test_a_beginning_that_is_begun_again_stands_once(said: str, meant: str) -> None:
    assert tidy(said) == meant


def test_well_actually_takes_back_what_it_repeats_the_form_of() -> None:
    assert tidy("I'll post the keys tonight, well, actually tomorrow morning.") == (
        "I'll post the keys tomorrow morning."
    )
    assert tidy("It costs forty, well actually fifty euros.") == "It costs fifty euros."


@pytest.mark.parametrize(
    ("said", "meant", "tongue"),
    [
        ("Wir haben halt, wir haben keine Zeit.", "Wir haben keine Zeit.", by_code("de")),
        ("Yo creo como, yo creo que llega el lunes.", "Yo creo que llega el lunes.", by_code("es")),
        ("On va genre, on va prendre le train.", "On va prendre le train.", by_code("fr")),
    ],
)
def test_other_languages_hedge_in_their_own_words(said, meant, tongue) -> None:  # type: ignore[no-untyped-def]
    assert tidy(said, tongue) == meant


@pytest.mark.parametrize(
    "asked",
    [
        "And who is like, who is bringing the projector to the meeting.",
        "How much does the second garage cost each month",
        "Do you think the neighbours heard the alarm last night",
        "What is the number of the plumber from the village",
    ],
)
def test_a_question_without_its_mark_tells_nothing_in_an_overview(asked: str) -> None:
    assert bonus(Sentence(asked, "Rosa", False, 0.0), by_code("en")) == 0.0


def test_a_statement_that_begins_like_a_question_is_told() -> None:
    for told in ("When the work is done the school opens again.", "What we need is a bigger garage for the bus."):
        assert bonus(Sentence(told, "Rosa", False, 0.0), by_code("en")) > 0.0


def segment(text: str, speaker: str, start: float, end: float) -> Segment:
    return Segment(text=text, speaker=speaker, is_user=False, start=start, end=end)


def spoken(*segments: Segment) -> list[tuple[str, str]]:
    return [(it.speaker, it.text) for it in sentences(list(segments), names={}, user_name="User")]


def test_a_sentence_that_a_turn_edge_cuts_is_whose_most_of_it_is() -> None:
    assert spoken(
        segment("The gate was open. And who is watering", "SPEAKER_01", 0, 4),
        segment("the tomatoes? I can do that.", "SPEAKER_02", 4.1, 6),
        segment("Good.", "SPEAKER_01", 6.2, 6.5),
    ) == [
        ("Speaker 1", "The gate was open."),
        ("Speaker 1", "And who is watering the tomatoes?"),
        ("Speaker 2", "I can do that."),
        ("Speaker 1", "Good."),
    ]
    assert spoken(
        segment("It is late. The", "SPEAKER_01", 0, 2), segment("boat leaves at nine tomorrow.", "SPEAKER_02", 2.2, 4)
    ) == [("Speaker 1", "It is late."), ("Speaker 2", "The boat leaves at nine tomorrow.")]


def test_what_was_broken_off_or_has_no_marks_at_all_stays_apart() -> None:
    assert spoken(segment("I thought that maybe", "SPEAKER_01", 0, 2), segment("No, never.", "SPEAKER_02", 2.1, 3)) == [
        ("Speaker 1", "I thought that maybe"),
        ("Speaker 2", "No, never."),
    ]
    assert spoken(
        segment("we went to the lake", "SPEAKER_01", 0, 2), segment("and it was cold", "SPEAKER_02", 2.1, 3)
    ) == [("Speaker 1", "we went to the lake"), ("Speaker 2", "and it was cold")]
    assert spoken(
        segment("We stayed at home and", "SPEAKER_01", 0, 2), segment("then it rained.", "SPEAKER_02", 9, 11)
    ) == [("Speaker 1", "We stayed at home and"), ("Speaker 2", "then it rained.")]
