"""One word (or few) put in the place of another wherever it stands as a whole word, in any script. Pure.

A word is a run of letters, marks and digits; what stands beside it must be none, so that ``Anna`` is not found in
``Annabell``, and is found in ``Anna's`` and ``(Anna)``. Writings without blanks (Chinese, Japanese, Thai, Khmer, Lao,
Burmese) have no such ends: between their characters every place is one, but not in a name written in katakana. The
``n't`` of ``don't`` and the ``5`` of ``1.5`` are parts of what stands there. Case does not count for what is looked
for; what is put there is written as given. Blanks between words count as one.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from memories.wording import composed

_BARE: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_KATAKANA: Final = re.compile(r"[\u30a1-\u30fa\u30fc-\u30fe\uff66-\uff9f]")
_CLITIC: Final = re.compile(r"(?:t|s|m|d|ll|re|ve)\b", re.IGNORECASE)
"""What English writes behind an apostrophe, as in ``don't`` and ``we're``: nobody's word."""
_APOSTROPHES: Final = "'\u2019\u02bc"
_JOINERS: Final = "\u200c\u200d"
"""Characters that hold a word together without being seen, as in Persian and Hindi."""


def is_healable(heard: str) -> bool:
    """Whether the text holds a word: marks and blanks alone stand everywhere."""
    return any(_letter(character) for character in heard)


def found(text: str, heard: str) -> Iterator[tuple[int, int]]:
    """Yield where ``heard`` stands in ``composed(text)`` as whole words, in order."""
    whole = composed(text)
    pattern, at = _pattern(composed(heard)), 0
    while match := pattern.search(whole, at):
        start, end = match.span()
        if _inside_word(whole, start) or _inside_word(whole, end):
            at = start + 1  # one that is a word may begin within it
            continue
        yield start, end
        at = end


def healed(text: str, heard: str, term: str) -> str:
    """Return ``text`` with ``term`` in each of these places; as it was where there is none, or it says so already.

    Where ``heard`` is a part of ``term`` (``York`` of ``New York``) what says all of it is not made longer.
    """
    whole, made, at = composed(text), [], 0
    there = list(found(whole, term)) if next(found(term, heard), None) else []
    for start, end in found(text, heard):
        whole_term = [span for span in there[: bisect_right(there, (start, len(whole)))][-1:] if end <= span[1]]
        first, last = whole_term[0] if whole_term else (start, end)
        if first >= at:
            made += [whole[at:first], term]
            at = last
    result = "".join([*made, whole[at:]])
    return text if result == whole else result


@lru_cache(maxsize=256)
def _pattern(heard: str) -> re.Pattern[str]:
    return re.compile(r"\s+".join(re.escape(word) for word in heard.split()), re.IGNORECASE)


def _inside_word(text: str, at: int) -> bool:
    """Whether a place lies between two characters of one word."""
    if not 0 < at < len(text):
        return False
    before, behind = text[at - 1], text[at]
    if _holds_together(text, at):
        return True
    if not _letter(before) or not _letter(behind):
        return False
    # A mark belongs to the character before it, also in writings without blanks.
    if unicodedata.category(behind).startswith("M") or (_KATAKANA.match(before) and _KATAKANA.match(behind)):
        return True
    return not (_BARE.match(before) or _BARE.match(behind))


def _holds_together(text: str, at: int) -> bool:
    """Whether a mark beside the place belongs to the number or to the contraction in which it stands."""
    for mark in (at - 1, at):
        around = text[max(0, mark - 1) : mark] + text[mark + 1 : mark + 2]
        if len(around) < 2:
            continue
        if text[mark] in ".,:" and around.isdigit():
            return True
        behind = _CLITIC.match(text, mark + 1) if text[mark] in _APOSTROPHES and _letter(around[0]) else None
        # ``Anna's`` and ``we'll`` are Anna and we; the ``n't`` takes the end of its word along.
        if behind is not None and (mark == at - 1 or behind[0].casefold() == "t"):
            return True
    return False


def _letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in _JOINERS
