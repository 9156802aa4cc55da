"""The words of texts as the index holds them, and which of them a query is about. Pure.

Writing without blanks is cut into pairs of characters; letters that are said one by one (``G D P R``) are a word, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memories import wording
from memories.language_detection import FUNCTION_WORDS
from memories.passages import spelling
from memories.structuring.words import STOP_WORDS
from transcription.segments import written_without_blanks

_FOREIGN: frozenset[str] = frozenset().union(*(FUNCTION_WORDS[code] for code in ("de", "es", "fr")))
# Of other languages' words that say little are some that say much in English ("hat", "war"): they are only frequent.
STOP = (STOP_WORDS - _FOREIGN) | frozenset(
    "a about an and any anyone anything are as at be but by can could did discuss discussed do does for from had has "
    "have he her him his how i in is it me mention mentioned my no of on or our say said says she should so somebody "
    "someone something talk talked talking tell that the their them then there these they this those to told us was we "
    "were what when where which who whom whose why will with would you your".split()
)
_WORD = re.compile(r"\w+", re.UNICODE)


def words(text: str) -> Iterator[str]:
    """Every word, stemmed, as often as it is said."""
    letters: list[str] = []
    for word in wording.terms(text):
        if len(word) == 1 and word.isascii() and word.isalpha():
            letters.append(word)
        else:
            if len(letters) > 1:
                yield "".join(letters)
            letters = []
        yield from _cut(word)
    if len(letters) > 1:
        yield "".join(letters)


def terms(text: str) -> list[str]:
    """The words of a query, each once, without those that say nothing unless there are no others; an amount is the same
    in words and in figures (``memories/wording.py``)."""
    said = list(dict.fromkeys(words(text)))
    return [word for word in said if word not in STOP] or said


def stem(word: str) -> str:
    """Return a word without its plural ending: ``budgets`` finds ``budget``."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _cut(word: str) -> Iterator[str]:
    if not word.isascii() and len(word) > 2 and written_without_blanks(word):
        for at in range(len(word) - 1):
            yield word[at : at + 2]
    else:
        yield word if word in STOP else stem(word)


def held(wanted: set[str], text: str) -> list[tuple[int, int]]:
    """Return where in ``text`` words of ``wanted`` (as ``terms`` gives them) stand, as offsets of characters;
    misspelled ones, too. In order, without overlap."""
    found: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        token, at = match[0], match.start()
        if not token.isascii() and len(token) > 2 and written_without_blanks(token):
            found += [(at + n, at + n + 2) for n in range(len(token) - 1) if token[n : n + 2] in wanted]
            continue
        these = set(words(token))
        if these & wanted or any(spelling.alike(word, other) for word in wanted for other in these):
            found.append((at, match.end()))
    merged: list[tuple[int, int]] = []
    for start, end in found:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged
