"""Vendors' words made ours: nothing is lost, times make sense, labels never collide."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from transcription.vendors.batch.cleaning import RawWord, Turn, clean_words, without_islands

TIMES = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(-10, 200)
LABELS = st.none() | st.sampled_from(["SPEAKER_00", "SPEAKER_01", "A", "", "speaker 7"]) | st.integers(0, 600)
RAW = st.builds(RawWord, st.text(max_size=20), TIMES, TIMES, LABELS, st.none() | st.floats(-2, 3))


@given(st.lists(RAW, max_size=30), st.sampled_from([0.0, 5.0, 100.0]))
def test_every_word_stands_once_with_sane_times(raw: list[RawWord], seconds: float) -> None:
    words = clean_words(raw, seconds=seconds)
    assert sorted(word.text for word in words) == sorted(token for item in raw for token in item.text.split())
    assert [word.start for word in words] == sorted(word.start for word in words)
    for word in words:
        assert math.isfinite(word.end)
        assert 0 <= word.start < word.end
        assert word.confidence is None or 0 <= word.confidence <= 1
        if seconds:
            assert word.start <= seconds


@given(st.lists(LABELS.filter(lambda label: label not in (None, "")), max_size=40))
def test_two_voices_never_share_a_label(labels: list[str | int]) -> None:
    raw = [RawWord(f"w{at}", float(at), at + 0.5, label) for at, label in enumerate(labels)]
    pairs = set(zip(labels, (word.speaker for word in clean_words(raw, seconds=0.0)), strict=True))
    assert len({given for given, _ in pairs}) == len({made for _, made in pairs}) == len(pairs)


def test_a_missing_end_lasts_a_second_or_until_the_next_word() -> None:
    words = clean_words(
        [RawWord("one", 1.0, None), RawWord("two", 1.4, None), RawWord("three", 9.0, None)], seconds=9.5
    )
    assert [(word.start, word.end) for word in words] == [(1.0, 1.4), (1.4, 2.4), (9.0, 9.5)]


def test_a_missing_start_does_not_fail_everything() -> None:
    """A fault of the original: one word without a start ended the whole run."""
    words = clean_words([RawWord("one", 0.5, 0.9), RawWord("two", None, None)], seconds=10.0)
    assert words[1].start == 0.9


def test_swapped_times_are_put_right_and_zero_is_a_legal_start() -> None:
    """A fault of the original: a start of 0.0 was read as unset."""
    words = clean_words([RawWord("late", 3.0, 2.0), RawWord("first", 0.0, 0.4)], seconds=10.0)
    assert [(word.text, word.start, word.end) for word in words] == [("first", 0.0, 0.4), ("late", 2.0, 3.0)]


def test_a_phrase_is_cut_into_words_over_its_time() -> None:
    words = clean_words([RawWord("How much will", 0.0, 1.1, "SPEAKER_01")], seconds=5.0)
    assert [word.text for word in words] == ["How", "much", "will"]
    assert words[0].start == 0.0
    assert words[-1].end == 1.1
    assert {word.speaker for word in words} == {"SPEAKER_01"}


def test_capitals_and_acronyms_stay_as_they_are() -> None:
    """A fault of the original: everything after the first letter was made small."""
    assert [word.text for word in clean_words([RawWord("NASA met Anna", 0, 1)], seconds=1)] == ["NASA", "met", "Anna"]


TURNS: list[Turn] = [(0.0, 10.0, "A"), (10.4, 20.0, "B")]


def sentence(*voices: str) -> list[RawWord]:
    return [RawWord(f"w{index}", index * 0.5, index * 0.5 + 0.4, voice) for index, voice in enumerate(voices)]


def speakers(words: list[RawWord], turns: list[Turn]) -> str:
    return "".join(str(word.speaker) for word in without_islands(words, turns))


def test_a_word_of_another_voice_inside_a_sentence_is_the_sentences_where_the_vendors_own_turns_say_so() -> None:
    assert speakers(sentence(*"AABAA"), TURNS) == "AAAAA"


def test_a_word_that_the_vendors_turns_give_to_its_voice_stays_its() -> None:
    assert speakers(sentence(*"AABAA"), [*TURNS, (1.0, 1.4, "B")]) == "AABAA"
    assert speakers(sentence(*"AABAA"), []) == "AABAA"


def test_two_words_and_a_word_between_pauses_are_no_island() -> None:
    assert speakers(sentence(*"AABBAA"), TURNS) == "AABBAA"
    apart = sentence(*"AABAA")
    apart[3:] = [RawWord("w3", 3.0, 3.4, "A"), RawWord("w4", 3.5, 3.9, "A")]
    assert speakers(apart, TURNS) == "AABAA"
