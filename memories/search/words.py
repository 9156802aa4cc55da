"""The words of texts as the index holds them, and which of them a query is about. Pure.

Writing without blanks is cut into pairs of characters; letters that are said one by one (``G D P R``) are a word, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memories import wording
from memories.passages import spelling
from memories.structuring.centrality import STOP_WORDS
from transcription.segments import written_without_blanks

STOP = STOP_WORDS | frozenset(
    "about say said says tell told talk talked talking discuss discussed mention mentioned anything something someone "
    "anyone somebody when where which who whom whose why how what did does was were our your their his her them ours "
    "us we you they it there then that this these those has had have been will would should could".split()
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
    """Without a plural ending: ``budgets`` finds ``budget``."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _cut(word: str) -> Iterator[str]:
    if not word.isascii() and len(word) > 2 and written_without_blanks(word):
        for at in range(len(word) - 1):
            yield word[at : at + 2]
    else:
        yield word if word in STOP else stem(word)


def held(wanted: set[str], text: str) -> list[tuple[int, int]]:
    """Where in ``text`` words of ``wanted`` (as ``terms`` gives them) stand, as offsets of characters; misspelled ones,
    too. In order, without overlap."""
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
