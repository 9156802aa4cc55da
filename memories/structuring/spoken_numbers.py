"""Numbers as they are said: ``nine``, ``twenty five``, ``21st``, ``third``."""

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
    r"(?:\d{1,4}|(?:twenty|thirty|forty|fifty)(?:[\s-](?:one|two|three|four|five|six|seven|eight|nine))?|"
    + "|".join(sorted(_UNITS[1:], key=len, reverse=True))
    + ")"
)
ORDINAL = (
    r"(?:\d{1,2}(?:st|nd|rd|th)|(?:twenty|thirty)[\s-](?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth)|"
    + "|".join(sorted([*_ORDINALS[1:], *_TENTHS], key=len, reverse=True))
    + ")"
)


def number(text: str) -> int | None:
    """The value of a CARDINAL or ORDINAL match, None for anything else (``a`` and ``an`` are 1)."""
    text = text.lower().strip().replace("-", " ")
    if text in ("a", "an"):
        return 1
    digits = text.rstrip("stndrh")
    if digits.isdigit():
        return int(digits)
    total = 0
    for part in text.split():
        if part in _UNITS:
            total += _UNITS.index(part)
        elif part in _TENS:
            total += _TENS[part]
        elif part in _ORDINALS:
            total += _ORDINALS.index(part)
        elif part in _TENTHS:
            total += _TENTHS[part]
        else:
            return None
    return total
