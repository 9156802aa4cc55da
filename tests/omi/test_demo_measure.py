"""The demo's measures of a transcript against its script."""

from __future__ import annotations

import pytest

from demo.measure import normalise, word_error_rate


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("It costs $4,000.", "it costs 4000 dollars"),
        ("It costs four thousand dollars.", "it costs 4000 dollars"),
        ("At three, at 3!", "at 3 at 3"),
        ("twenty-one or thirty five", "21 or 35"),
        ("two hundred and six", "206"),
        ("eight hundred and fifty dollars and two people", "850 dollars and 2 people"),
        ("one two three", "1 2 3"),
        ("one hundred twenty five thousand", "125000"),
        ("five hundred", "500"),
        ("Someone’s thousand words", "someone's thousand words"),
        ("zero", "0"),
        ("", ""),
    ],
)
def test_numbers_are_compared_as_figures(written: str, plain: str) -> None:
    assert " ".join(normalise(written)) == plain


def test_errors_are_counted_per_word_of_the_script() -> None:
    assert word_error_rate(["a", "b", "c", "d"], ["a", "x", "c"]) == 0.5
    assert word_error_rate([], ["a"]) is None
