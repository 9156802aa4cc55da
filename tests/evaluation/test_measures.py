"""Every measure is right on cases that can be counted by hand."""

from __future__ import annotations

import builtins
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memories.evaluation import wording
from memories.evaluation.dataset import Expected, Item, Speaker, Turn
from memories.evaluation.heard import UNKNOWN, HeardWord, MadeMemory
from memories.evaluation.ranking import ranking_parts
from memories.evaluation.structure import structure_parts, supported
from memories.evaluation.voices import voice_parts
from memories.evaluation.wording import MissingLibrary, normalised
from memories.evaluation.words import alignment, word_parts
from memories.shapes import ActionItem, Event, Structured

AUDIO = Path("a.wav")


def heard(*said: tuple[str, float, float, str, str], seconds: float = 100.0, **more: Any) -> MadeMemory:
    """Words (several in one text share its time), each with voice and name."""
    words = []
    for text, start, end, voice, who in said:
        parts = text.split()
        step = (end - start) / len(parts)
        words += [
            HeardWord(part, start + at * step, start + (at + 1) * step, voice, who) for at, part in enumerate(parts)
        ]
    return MadeMemory(words=words, text=" ".join(text for text, *_ in said), seconds=seconds, **more)


def item(*turns: tuple[str, float, float, str], **more: Any) -> Item:
    listed = [Turn(speaker=who, start=start, end=end, text=text) for who, start, end, text in turns]
    return Item(name="a", audio=AUDIO, turns=listed, **more)


def test_english_is_compared_by_whispers_rules_and_the_rest_by_unicode() -> None:
    assert normalised("It's $4,000, Mr. Brown!", "en") == normalised("it is four thousand dollars mister brown", "en")
    assert normalised("L'été, à 10 h!", "fr") == "l été à 10 h"
    assert normalised("É", "fr") == normalised("E\u0301", "fr")
    assert normalised("早上好,我们", "zh") == "早 上 好 我 们"


def test_word_and_character_errors() -> None:
    parts = word_parts(
        item(("A", 0, 2, "uno dos tres cuatro"), language="es"), heard(("uno tos cuatro", 0, 2, "S", ""))
    )
    assert parts["wer"] == (2, 4)
    assert parts["cer"] == (5, 16)
    assert "cpwer" not in parts


def test_words_under_the_wrong_speaker_count_only_with_speakers() -> None:
    true = item(("A", 0, 2, "uno dos"), ("B", 3, 5, "tres cuatro"), language="es")
    right = word_parts(true, heard(("uno dos", 0, 2, "X", ""), ("tres cuatro", 3, 5, "Y", "")))
    merged = word_parts(true, heard(("uno dos tres cuatro", 0, 5, "X", "")))
    late = word_parts(true, heard(("uno dos", 0, 2, "X", ""), ("tres cuatro", 60, 62, "Y", "")))
    assert right["cpwer"] == right["tcpwer"] == (0, 4)
    assert merged["wer"] == (0, 4)
    assert merged["cpwer"] == (4, 4)
    assert late["cpwer"] == (0, 4)
    assert late["tcpwer"][0] > 0


def test_the_alignment_says_what_stands_for_what() -> None:
    pieces = alignment(item(("A", 0, 2, "uno dos tres"), language="es"), heard(("uno tos tres más", 0, 2, "S", "")))
    assert [(piece.kind, piece.reference, piece.heard) for piece in pieces] == [
        ("equal", "uno", "uno"), ("substitute", "dos", "tos"), ("equal", "tres", "tres"), ("insert", "", "más"),
    ]  # fmt: skip


KNOWN = {
    "Ann": Speaker(role="user", enrolment=AUDIO),
    "Bob": Speaker(role="person", enrolment=AUDIO),
    "Cy": Speaker(role="stranger"),
}


def test_names_are_counted_by_the_second() -> None:
    true = item(("Ann", 0, 10, ""), ("Bob", 10, 20, ""), ("Cy", 20, 30, ""), speakers=KNOWN)
    parts = voice_parts(
        true,
        heard(
            ("a " * 40, 0, 10, "X", "Ann"), ("b " * 40, 10, 15, "Y", UNKNOWN), ("b " * 40, 15, 20, "Y", "Ann"),
            ("c " * 40, 20, 24, "Z", UNKNOWN), ("c " * 40, 24, 28, "Z", "Ann"), ("c " * 40, 28, 30, "Z", "Bob"),
        ),
    )  # fmt: skip
    assert parts["speaker_labels"] == pytest.approx((14, 30))
    assert parts["stranger_as_user"] == pytest.approx((4, 10))
    assert parts["stranger_named"] == pytest.approx((6, 10))
    assert parts["known_missed"] == pytest.approx((5, 20))
    assert parts["known_confused"] == pytest.approx((5, 20))


def test_nobody_is_named_where_nobody_is_enrolled() -> None:
    parts = voice_parts(item(("Ann", 0, 10, "")), heard(("a", 0, 10, "X", UNKNOWN)))
    assert "speaker_labels" not in parts


def test_diarization_errors_are_missed_invented_and_confused_speech() -> None:
    true = item(("A", 0, 10, ""), ("B", 20, 30, ""))
    exact = voice_parts(true, heard(("a " * 40, 0, 10, "X", ""), ("b " * 40, 20, 30, "Y", "")))
    one_voice = voice_parts(true, heard(("a " * 40, 0, 10, "X", ""), ("b " * 40, 20, 30, "X", "")))
    assert exact["der"][0] == pytest.approx(0.0, abs=0.01)
    assert exact["der"][1] == pytest.approx(19.0)  # a quarter of a second is left out at each of four boundaries
    assert one_voice["der"][0] == pytest.approx(9.5, abs=0.01)


def test_the_edges_of_turns() -> None:
    parts = voice_parts(item(("A", 10, 20, "")), heard(("a b c d", 10.25, 19.5, "X", "")))
    assert parts["edge_error"] == pytest.approx((0.75, 2))


def test_words_where_nobody_speaks_are_invented() -> None:
    said = heard(("there", 10, 11, "X", ""), ("thanks for watching", 40, 42, "X", ""), seconds=101.0 + 10)
    words, hours = voice_parts(item(("A", 10, 19, "there")), said)["invented"]
    assert words == 3
    assert hours == pytest.approx((111 - 10) / 3600)
    silent = Item(name="a", audio=AUDIO, text="")
    assert voice_parts(silent, said)["invented"][0] == 4
    assert voice_parts(Item(name="a", audio=AUDIO, text="there"), said) == {}


def test_of_part_of_the_turns_only_names_are_measured() -> None:
    true = item(("Ann", 0, 10, ""), speakers=KNOWN, partial=True)
    parts = voice_parts(true, heard(("a " * 20, 0, 10, "X", "Ann"), ("more", 50, 51, "X", "Ann")))
    assert parts["speaker_labels"] == pytest.approx((10, 10))
    assert not {"invented", "der", "edge_error"} & set(parts)


def made(**fields: Any) -> MadeMemory:
    return MadeMemory(structured=Structured(**fields))


def test_what_was_not_said_is_not_supported() -> None:
    said = "I will send the budget to the city by Friday, it is about four thousand dollars"
    assert supported("Send the budget to the city by Friday (Anna, 2026-11-27)", f"{said} Anna")
    assert supported("Send the budget of $4,000", said)
    assert not supported("Send the budget of $5,000", said)
    assert not supported("Book a flight to Lisbon", said)
    assert supported("Send the budget (Speaker 7, 2026-11-27)", said)
    assert supported("Send Speaker 7 the budget", said)


def test_structure_is_held_against_what_was_said_and_what_was_expected() -> None:
    true = item(
        ("Anna", 0, 5, "I will send the budget on Friday. The dentist is at three on Tuesday."),
        expected=Expected(action_items=["budget"], events=["dentist", "train"], discarded=False),
    )
    event = Event(title="Dentist", start=datetime(2026, 12, 1, 15, tzinfo=UTC))
    items = [ActionItem(description="Send the budget"), ActionItem(description="Water the roses")]
    parts = structure_parts(true, made(title="Budget of 17 euros", action_items=items, events=[event]))
    assert parts["items_supported"] == (1, 2)
    assert parts["items_found"] == (1, 1)
    assert parts["items_wanted"] == (1, 2)
    assert parts["events_supported"] == (1, 1)
    assert parts["events_found"] == (1, 2)
    assert parts["numbers_supported"] == (0, 1)
    assert parts["discard_right"] == (1.0, 1)


def test_of_an_item_that_failed_everything_expected_is_missing() -> None:
    true = item(("Anna", 0, 5, "hello"), expected=Expected(action_items=["budget"], events=[]))
    assert structure_parts(true, MadeMemory(failure="x")) == {"items_found": (0, 1)}


def test_search_is_measured_by_rank() -> None:
    assert ranking_parts(["a", "b"], {"a"}) == {
        "search_recall": (1, 1),
        "search_mrr": (1.0, 1),
        "search_ndcg": (1.0, 1),
    }
    third = ranking_parts(["x", "y", "a"], {"a"})
    assert third["search_mrr"] == pytest.approx((1 / 3, 1))
    assert third["search_ndcg"] == pytest.approx((0.5, 1))
    assert ranking_parts([*"uvwxyz", "a"], {"a"})["search_recall"] == (0, 1)
    assert ranking_parts([], {"a"})["search_mrr"] == (0.0, 1)


@pytest.mark.parametrize("library", ["jiwer", "meeteval", "simpleder", "whisper_normalizer"])
def test_a_missing_library_is_told_with_how_to_get_it(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def imported(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == library:
            raise ImportError(name)
        return real(name, *rest)

    wording._english.cache_clear()
    monkeypatch.setattr(builtins, "__import__", imported)
    true = item(("A", 0, 2, "one two"), ("B", 3, 5, "three four"))
    said = heard(("one two", 0, 2, "X", ""), ("three four", 3, 5, "Y", ""))
    with pytest.raises(MissingLibrary, match=r"requirements-evaluation\.txt"):
        word_parts(true, said) and voice_parts(true, said)
