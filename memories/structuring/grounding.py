"""Whether a talk bears out a sentence that a language model wrote about it.

What was said is data from strangers, and somebody in it may tell the model what to write. A sentence is only kept with
a quote that was said, without a number, a link or a name that was not, and with words of the talk.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Sequence
from typing import Final

from memories.language_detection import written_in
from memories.structuring.words import STOP_WORDS, words
from memories.wording import figures
from transcription.segments import Segment

LONGEST: Final = 400
"""Characters of a sentence that is kept."""
SHORTEST_QUOTE: Final = 6
"""Characters: fewer stand in every talk."""
ALIKE: Final = 1 / 3
"""Share of a sentence's words that were said, by their first letters, where it is in the language of the talk."""
FIRST_LETTERS: Final = 4
LOOKED_AT: Final = 2000
"""Words of a talk by which its language is known."""

_LINK: Final = re.compile(
    r"(?:https?://|www\.)\S+|(?:[\w.+-]+@)?\w[\w-]*(?:\.[\w-]+)*\.[a-z]{2,}\b(?:[/:?]\S+)?", re.IGNORECASE
)
"""Also without a scheme, as people say it: ``example.com/pay``; and addresses of mail."""
_NAME: Final = re.compile(r"(?<=[^.!?:\s] )[\"'“„«(]?([A-ZÀ-ÖØ-Þ][\w'’-]+)")


class Talk:
    """The words of a talk. ``language``: that which was meant to be spoken, for a talk that does not show its own;
    ``names``: those that the model was told besides."""

    def __init__(self, segments: Sequence[Segment], language: str | None, names: Iterable[str] = ()) -> None:
        self._segments, self._places, lines, at = list[Segment](), list[int](), list[str](), 0
        for segment in segments:
            if line := plain(segment.text):
                self._places.append(at)
                self._segments.append(segment)
                lines.append(line)
                at += len(line) + 1
        self._line = " ".join(lines)
        said = self._line.split(" ")
        self._language = _base(written_in(said[:LOOKED_AT]) or language)
        self._beginnings = {word[:FIRST_LETTERS] for word in said}
        self._names = {_bare(word) for word in [*said, *words(" ".join(names)), *STOP_WORDS]}
        whole = "\n".join(segment.text for segment in segments)
        self._figures = set(figures(whole))
        self._links = whole.casefold()

    def place(self, told: str, quote: str, language: str) -> Segment | None:
        """The segment in which the quote of a sentence begins; None where the talk does not bear the sentence out.
        ``language``: that in which it is told."""
        wanted = plain(quote)
        at = self._line.find(wanted) if len(wanted) >= SHORTEST_QUOTE else -1
        held = (
            at >= 0
            and set(figures(told)) <= self._figures
            and all(link in self._links for link in links(told))
            and self._names_said(told, _base(language))
            and self._alike(told, _base(language))
        )
        return self._segments[bisect.bisect_right(self._places, at) - 1] if held else None

    def _names_said(self, told: str, language: str) -> bool:
        """Whether each word that is written like a name, within a sentence, was said; not in German, which writes every
        noun like one."""
        return language == "de" or all(
            _bare(word) in self._names for name in _NAME.findall(told) for word in words(name)
        )

    def _alike(self, told: str, language: str) -> bool:
        """Whether enough of the sentence's words were said. True where it is in another language than the talk, or in a
        writing without blanks: there the quote alone bears it out."""
        if language != self._language or " " not in told:
            return True
        meant = [word for word in words(told) if word not in STOP_WORDS and len(word) > 3]
        return sum(word[:FIRST_LETTERS] in self._beginnings for word in meant) >= ALIKE * len(meant)


def links(text: str) -> list[str]:
    """The addresses in a text, letters small."""
    return [link.casefold() for link in _LINK.findall(text)]


def plain(text: str) -> str:
    """The words of a text, letters small and without marks."""
    return " ".join(words(text))


def one_line(text: str) -> str:
    """A sentence as it is checked and kept: one line, ``LONGEST`` characters."""
    return " ".join(text.split())[:LONGEST]


def _bare(word: str) -> str:
    return word.removesuffix("'s")


def _base(language: str | None) -> str:
    return (language or "").split("-")[0].casefold()
