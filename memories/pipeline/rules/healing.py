"""One word (or few) put in the place of another wherever it stands as a whole word, in any script. Pure.

A word is a run of letters, marks and digits; what stands beside it must be none, so that ``Anna`` is not found in
``Annabell``, and is found in ``Anna's`` and ``(Anna)``. Writings without blanks (Chinese, Japanese, Thai, Khmer, Lao,
Burmese) have no such ends: between their characters every place is one. Case does not count for what is looked for;
what is put there is written as given. Blanks between words count as one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_BARE: Final = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u9fff\uff66-\uff9f]")
_JOINERS: Final = "\u200c\u200d"
"""Characters that hold a word together without being seen, as in Persian and Hindi."""


def composed(text: str) -> str:
    """In the one form in which texts are compared and replaced (NFC)."""
    return unicodedata.normalize("NFC", text)


def is_healable(heard: str) -> bool:
    """Whether it holds a word: marks and blanks alone stand everywhere."""
    return any(_letter(character) for character in heard)


def found(text: str, heard: str) -> Iterator[tuple[int, int]]:
    """Where ``heard`` stands in ``composed(text)`` as whole words, in order."""
    whole = composed(text)
    for match in _pattern(composed(heard)).finditer(whole):
        start, end = match.span()
        if not _inside_word(whole, start) and not _inside_word(whole, end):
            yield start, end


def healed(text: str, heard: str, term: str) -> str:
    """``text`` with ``term`` in each of these places; as it was where there is none, or it says so already."""
    whole, made, at = composed(text), [], 0
    for start, end in found(text, heard):
        made += [whole[at:start], term]
        at = end
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
    if not _letter(before) or not _letter(behind):
        return False
    # A mark belongs to the character before it, also in writings without blanks.
    return unicodedata.category(behind).startswith("M") or not (_BARE.match(before) or _BARE.match(behind))


def _letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN" or character in _JOINERS
