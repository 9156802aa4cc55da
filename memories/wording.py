"""Words as they are compared, by the search index and by the lexical embedder: one writing for one thing.

``$4,000``, ``4,000 dollars`` and ``four thousand dollars`` are the words ``4000`` and ``dollar``; ``3rd`` and ``third``
are ``3``; letters are small, and composed of one character where Unicode has one. Numerals are English. Everything
takes time in proportion to the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final, Literal

MAX_MARKS: Final = 8
"""Combining marks in a row: writing that people use has at most four, and sorting a long run takes its square."""
MAX_DIGITS: Final = 40
"""Of a figure: what is longer is no amount, and is compared as it stands."""

# The look-ahead: before Python 3.11.5 a possessive repetition keeps what its last, failing turn took ("4,000."). 20
# groups have more characters than MAX_DIGITS; without a bound "1,1,1,…1a" is read to its end from each of its digits.
_TOKEN: Final = re.compile(
    r"(?P<figure>\d++(?:(?=[.,]\d)[.,]\d++){0,20}+)(?:st|nd|rd|th)?(?!\w)|(?P<sign>[$€£¥%])|(?P<word>\w++)", re.UNICODE
)
_GROUPED: Final = re.compile(r"(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3})+)(?:[.,](?P<part>\d{1,2}))?\Z")
_SIGNS: Final = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen", "%": "percent"}
_UNITS: Final = {
    "dollars": "dollar", "bucks": "dollar", "dólares": "dollar", "dólar": "dollar", "euros": "euro", "pounds": "pound",
    "yens": "yen", "prozent": "percent", "pct": "percent",
}  # fmt: skip
_SMALL: Final = {
    word: value
    for value, words in enumerate(
        "zero|one first|two second|three third|four fourth|five fifth|six sixth|seven seventh|eight eighth|nine ninth"
        "|ten tenth|eleven eleventh|twelve twelfth|thirteen thirteenth|fourteen fourteenth|fifteen fifteenth"
        "|sixteen sixteenth|seventeen seventeenth|eighteen eighteenth|nineteen nineteenth".split("|")
    )
    for word in words.split()
}
_TENS: Final = {
    word: 10 * value
    for value, words in enumerate(
        "twenty twentieth|thirty thirtieth|forty fortieth|fifty fiftieth|sixty sixtieth|seventy seventieth"
        "|eighty eightieth|ninety ninetieth".split("|"),
        start=2,
    )
    for word in words.split()
}
_SCALES: Final = {"thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}


def terms(text: str) -> list[str]:
    """The words of a text in order, numbers and money in one writing."""
    found: list[str] = []
    number = _Number()
    sign = ""
    for token in _TOKEN.finditer(composed(text, "NFKC").casefold()):
        word = token["word"] or ""
        if word and number.takes(word):
            continue
        found += number.end()
        if token["figure"]:
            number.figure, number.unit, sign = _plain(token["figure"]), sign, ""
        elif not word or not number.takes(word):
            found += [sign] if sign else []
            sign = _SIGNS[token["sign"]] if token["sign"] and token["sign"] != "%" else ""
            found += [] if sign else [_UNITS.get(word, word) or _SIGNS[token["sign"]]]
    return [*found, *number.end(), *([sign] if sign else [])]


class _Number:
    """A number that is being said. ``figure``: one in digits, which ``thousand`` may follow; ``unit``: its currency."""

    def __init__(self) -> None:
        self.figure: str | None = None
        self.unit = ""
        self._total = self._part = 0
        self._last = 0
        self._said: list[str] = []

    def takes(self, word: str) -> bool:
        """Whether the word goes on with the number, or begins one."""
        if self.figure is not None:
            scale = _SCALES.get(word) or (100 if word == "hundred" else 0)
            if scale and self.figure.isdigit() and len(self.figure) <= 6:
                self.figure = str(int(self.figure) * scale)
                return True
            return False
        if word == "and" and self._said and self._last >= 100:
            self._said.append(word)
            return True
        value = _SMALL.get(word, _TENS.get(word))
        if value is not None:
            # "nineteen eighty" is two numbers, "eighty four" one.
            fits = not self._said or self._last >= 100 or (20 <= self._last < 100 and value < 10)
            if not fits:
                return False
            self._part += value
        elif word == "hundred" and (not self._said or 0 < self._part < 100):
            self._part, value = (self._part or 1) * 100, 100
        elif word in _SCALES and (not self._said or 0 < self._part < 1000):
            self._total, self._part, value = self._total + (self._part or 1) * _SCALES[word], 0, 1000
        else:
            return False
        self._last = value
        self._said.append(word)
        return True

    def end(self) -> list[str]:
        """The words of the number that was said until now, and none of it is left."""
        unit = [self.unit] if self.unit else []
        trailing: list[str] = []
        while self._said and self._said[-1] == "and":
            trailing.append(self._said.pop())
        made = [self.figure] if self.figure is not None else [str(self._total + self._part)] if self._said else []
        self.__init__()  # type: ignore[misc]
        return [*made, *unit, *trailing]


def composed(text: str, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """Do ``unicodedata.normalize`` in linear time: a run of more than MAX_MARKS combining marks loses the rest."""
    if text.isascii():
        return text
    run = 0
    kept: list[str] = []
    for letter in text:
        run = run + 1 if unicodedata.combining(letter) else 0
        if run <= MAX_MARKS:
            kept.append(letter)
    return unicodedata.normalize(form, "".join(kept))


def _plain(figure: str) -> str:
    """``4,000`` and ``4.000`` as ``4000``, ``3,50`` as ``3.5``; a figure with several odd marks as it stands."""
    if len(figure) > MAX_DIGITS:
        return figure
    grouped = _GROUPED.match(figure)
    whole, *rest = [grouped["whole"], grouped["part"] or ""] if grouped else re.split("[.,]", figure)
    if len(rest) > 1:
        return figure
    part = rest[0].rstrip("0") if rest else ""
    whole = re.sub("[.,]", "", whole).lstrip("0") or "0"
    return f"{whole}.{part}" if part else whole


def figures(text: str) -> Iterator[str]:
    """The numbers of a text in one writing."""
    return (word for word in terms(text) if word[:1].isdigit())
