"""Numbers as they are said in English: ``nine``, ``twenty five``, ``21st``, ``third``."""

from __future__ import annotations

_UNITS = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen
""".split()
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_ORDINALS = """
    zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth
    fifteenth sixteenth seventeenth eighteenth nineteenth
""".split()
_TENTHS = {"twentieth": 20, "thirtieth": 30}

CARDINAL = (
    r"(?:\d{1,4}|(?:twenty|thirty|forty|fifty)(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?|"
    + "|".join(sorted(_UNITS[1:], key=len, reverse=True))
    + ")"
)
ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|(?:twenty|thirty)[ -](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|"
    + "|".join(sorted([*_ORDINALS[1:], *_TENTHS], key=len, reverse=True))
    + ")"
)

ENGLISH: dict[str, int] = {
    **{word: value for value, word in enumerate(_UNITS)},
    **{word: value for value, word in enumerate(_ORDINALS)},
    **_TENS,
    **_TENTHS,
    "a": 1,
    "an": 1,
}
"""Words that make up a CARDINAL or an ORDINAL: the words of one are added."""
