"""A name in any script is one line that is seen; what would break or turn the line is none."""

from __future__ import annotations

import pytest

from omi.core.one_line import is_one_line, is_seen


@pytest.mark.parametrize(
    "name",
    [
        "Anna-Lena O\u2019Brien",
        "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",  # Alireza, as Persian writes it
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",  # Sri, in Sinhala
        "\u0930\u094d\u200d\u092f\u093e",
        "\u05d3\u05e0\u05d9\u200f",  # Dani, with the mark of a Hebrew keyboard
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 home",
        "\u2764\ufe0f",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # England's flag
        "Recording at 3.04.05\u202fPM.m4a",
        "cafe\u0301",
        "\u7530\u4e2d\u3000\u82b1",
    ],
)
def test_names_of_all_scripts_are_one_line(name: str) -> None:
    assert (is_one_line(name), is_seen(name)) == (True, True)


@pytest.mark.parametrize(
    "name",
    ["a\nb", "a\0b", "a\x07", "a\x1b[2J", "\u202egnp.exe", "a\u2066b", "a\u2028b", "a\u2029b", "\ud800", "\ue000"],
)
def test_what_breaks_or_turns_the_line_is_none(name: str) -> None:
    assert not is_one_line(name)


@pytest.mark.parametrize("name", ["", " ", "\u200d\u200d", "\u200e \u00a0"])
def test_nothing_to_be_seen_is_no_name(name: str) -> None:
    assert not is_seen(name)
