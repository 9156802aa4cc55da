"""The rules of the local structurer: sentences, tasks, events, titles, discard."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memories.shapes import Category, Structured
from memories.structuring.actions import action_items
from memories.structuring.base import StructureRequest
from memories.structuring.category import DESCRIPTIONS, EMOJI
from memories.structuring.centrality import central, choose, phrases, tfidf
from memories.structuring.discard import must_keep, why_discard
from memories.structuring.events import events
from memories.structuring.local import LocalStructurer
from memories.structuring.sentences import Sentence, split
from transcription.segments import Segment

WEDNESDAY = datetime(2026, 11, 25, 10, 0, tzinfo=UTC)


def said(*texts: str, who: str = "Anna") -> list[Sentence]:
    return [Sentence(text, who, False, float(at)) for at, text in enumerate(texts)]


def tasks(*texts: str) -> list[str]:
    return [item.description for item in action_items(said(*texts))]


@given(st.text(alphabet="ab .!?,\niI will please 天。", max_size=300))
def test_splitting_keeps_every_word_in_order(text: str) -> None:
    assert " ".join(split(text)).split() == " ".join(split(" ".join(split(text)))).split()
    assert "".join("".join(split(text)).split()) == "".join(text.split())


def test_talk_without_punctuation_is_cut_where_a_new_thought_begins() -> None:
    assert split("thursday is good i have an appointment with the dentist please call the builder") == [
        "thursday is good",
        "i have an appointment with the dentist",
        "please call the builder",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I will call the builder this afternoon.", ["Call the builder this afternoon (Anna)"]),
        ("Please do not forget to write a letter to the parents.", ["Write a letter to the parents"]),
        ("Can you send me the report?", ["Send me the report"]),
        ("Remind me to buy milk.", ["Buy milk (Anna)"]),
        ("We should meet again.", ["Meet again (everyone)"]),
        ("i need to look at the pipes", ["Look at the pipes (Anna)"]),
        ("How long will it take?", []),
        ("Should I call you?", []),
        ("I will be there.", []),
        ("I will not go there.", []),
        ("I will remember the flowers.", []),
        ("It will cost four thousand dollars.", []),
        ("Please.", []),
    ],
)
def test_commitments_and_requests_are_tasks(text: str, expected: list[str]) -> None:
    assert tasks(text) == expected


def test_a_request_that_somebody_takes_on_is_one_task_with_an_owner() -> None:
    assert tasks("Please write a letter to the parents.", "Yes, I will write a letter to the parents.") == [
        "Write a letter to the parents (Anna)"
    ]


def calendar(*texts: str) -> list[tuple[str, str, int]]:
    return [(event.title, f"{event.start:%m-%d %H:%M}", event.duration) for event in events(said(*texts), WEDNESDAY)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "I have an appointment with the dentist on Tuesday at three in the afternoon.",
            [("Appointment with the dentist", "12-01 15:00", 60)],
        ),
        ("And my train to Boston leaves next Monday at nine.", [("Train to Boston leaves", "11-30 09:00", 30)]),
        ("Let's have dinner for two hours tomorrow at 8 pm", [("Have dinner", "11-26 20:00", 120)]),
        ("The meeting on Friday lasts for twelve hours.", None),
        ("I will send the budget by Friday.", []),
        ("We met on Monday.", []),
        ("I will call the builder this afternoon.", []),
        ("Friday is a nice day.", []),
    ],
)
def test_dated_happenings_are_events(text: str, expected: list[tuple[str, str, int]] | None) -> None:
    if expected is None:
        assert [duration for _, _, duration in calendar(text)] == [180]
    else:
        assert calendar(text) == expected


def test_an_event_said_twice_stands_once_and_events_are_in_order() -> None:
    found = calendar(
        "The meeting is on Friday at 2 pm.", "So we meet on Friday at 2 pm.", "Dinner is tomorrow at 7 pm."
    )
    assert [start for _, start, _ in found] == ["11-26 19:00", "11-27 14:00"]


def test_where_no_clock_was_said_the_event_says_so() -> None:
    (event,) = events(said("We should meet on Thursday."), WEDNESDAY)
    assert "no time of day was said" in event.description


def request(text: str, *, force: bool = False) -> StructureRequest:
    return StructureRequest([Segment(text=text, start=0, end=1)], WEDNESDAY, force=force)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("yes okay thank you", False),
        ("hello hello test", False),
        ("", False),
        ("remember the milk", True),
        ("nicht vergessen Milch", True),
        ("okay " * 101, True),
        ("okay " * 100, False),
        ("the old library burned down in spring", True),
    ],
)
def test_the_discard_rules_as_stated(text: str, kept: bool) -> None:
    assert (why_discard(request(text), Structured()) == "") is kept
    assert why_discard(request(text, force=True), Structured()) == ""


def test_a_hundred_words_may_be_judged_and_one_more_may_not() -> None:
    assert must_keep(request("word " * 100)) == ""
    assert must_keep(request("word " * 101)) != ""


def test_the_central_sentence_shares_most_with_the_others() -> None:
    vectors = tfidf(["the kitchen pipes are old", "old pipes in the kitchen leak", "kitchen pipes cost money", "zebra"])
    weights = central(vectors)
    assert weights.sum() == pytest.approx(1.0)
    assert weights.argmin() == 3
    assert choose(weights, vectors, 2) == sorted(choose(weights, vectors, 2))


@given(st.lists(st.text(alphabet="abc 天é", max_size=30), max_size=12))
def test_centrality_takes_any_talk(texts: list[str]) -> None:
    weights = central(tfidf(texts))
    assert len(weights) == len(texts)
    assert not texts or weights.sum() == pytest.approx(1.0)


def test_title_phrases_hold_no_time_and_no_loose_ends() -> None:
    found = phrases("I will write a letter to the parents on Monday morning, with love.")
    assert "letter to the parents" in found
    assert all("Monday" not in phrase and not phrase.startswith(("a ", "the ")) for phrase in found)


def test_each_category_is_described_and_has_an_emoji() -> None:
    assert set(DESCRIPTIONS) | {Category.OTHER} == set(Category) == set(EMOJI)


class Flat:
    """An embedder to which everything is alike: what the local structurer does must not depend on luck."""

    name = model_name = "flat"
    dimension, remote = 2, False

    def embed(self, texts: list[str], *, query: bool = False) -> list[list[float]]:
        return [[1.0, 0.0] for _ in texts]


@given(st.lists(st.text(max_size=60), min_size=1, max_size=10))
def test_any_talk_is_put_in_order_in_its_own_words(texts: list[str]) -> None:
    segments = [Segment(text=text, start=at, end=at + 1) for at, text in enumerate(texts)]
    result = LocalStructurer(Flat()).structure(StructureRequest(segments, WEDNESDAY, force=True))
    # A first letter may have been made a capital: compared without case, and µ by its twin among the Greek letters.
    heard = {word.upper().casefold() for text in texts for word in text.split()}
    spoken = result.structured.title.replace(",", " ").upper().casefold().split()
    assert all(any(word in known or known in word for known in heard) for word in spoken)
    assert len(result.structured.overview) <= 640
