"""One writing for one number: what search and the lexical embedder compare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memories.structuring.lexical_embedder import LexicalEmbedder
from memories.wording import figures, terms


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("four thousand dollars", "4000 dollar"),
        ("$4,000", "4000 dollar"),
        ("$ 4000", "4000 dollar"),
        ("4.000 Euro", "4000 euro"),
        ("€4,000.50", "4000.5 euro"),
        ("3,50 €", "3.5 euro"),
        ("a hundred and twenty bucks", "a 120 dollar"),
        ("two million", "2000000"),
        ("2 million", "2000000"),
        ("twelve hundred", "1200"),
        ("nineteen eighty four", "19 84"),
        ("twenty-first and 21st", "21 and 21"),
        ("3rd third", "3 3"),
        ("five hundred and", "500 and"),
        ("forty nine dollars and fish", "49 dollar and fish"),
        ("100 % of 50%", "100 percent of 50 percent"),
        ("4g mp3 b2b", "4g mp3 b2b"),
        ("007", "7"),
        ("0.50", "0.5"),
        ("1.2.3", "1.2.3"),
        ("$ and €", "dollar and euro"),
        ("cafe\u0301 CAFÉ", "café café"),
        ("", ""),
    ],
)
def test_numbers_and_amounts_have_one_writing(written: str, compared: str) -> None:
    assert " ".join(terms(written)) == compared


def test_figures_are_those_of_the_text() -> None:
    assert list(figures("It takes two days and costs $4,000 on the third.")) == ["2", "4000", "3"]


def test_the_lexical_embedder_sees_the_same_amount() -> None:
    first, second, other = LexicalEmbedder().embed(["four thousand dollars", "$4,000", "nine hundred pesos"])
    assert sum(a * b for a, b in zip(first, second, strict=True)) == pytest.approx(1.0)
    assert abs(sum(a * b for a, b in zip(first, other, strict=True))) < 0.5


@given(st.integers(0, 999_999))
def test_a_grouped_figure_is_the_plain_one(value: int) -> None:
    assert terms(f"{value:,}") == terms(str(value)) == [str(value)]


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert all(word and word == word.strip() for word in terms(text))


def test_a_full_stop_behind_a_number_is_not_the_numbers() -> None:
    """On Python 3.11.2 "$4,000. Peter" held another number than was said."""
    assert list(figures("about $4,000. Peter pays 1,234.5. Then 3,")) == ["4000", "1234.5", "3"]
