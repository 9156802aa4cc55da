"""One rule for every name that a client brings: of a person, a folder, a device, a file. It is one line, and is seen.

Python's ``isprintable`` refuses what names are written with: the joiners of Persian, Sinhala, Hindi and of many emoji,
the marks of direction that keyboards for Hebrew and Arabic put in, the narrow blank in a Mac's names of files.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_UNSEEN: Final = frozenset("\u061c\u200c\u200d\u200e\u200f")
"""Joiners and marks of direction: they change the character beside them, and nothing behind it."""
_TAGS: Final = range(0xE0020, 0xE0080)
"""Flags of countries within a country are spelled with them."""


def is_one_line(text: str) -> bool:
    """Whether a text has neither line breaks nor control characters, nor what turns around the text behind it."""
    return all(map(_may_stand, text))


def is_seen(text: str) -> bool:
    """Whether there is anything to be seen in it."""
    return any(character.isprintable() and not character.isspace() for character in text)


def _may_stand(character: str) -> bool:
    return (
        character.isprintable()
        or character in _UNSEEN
        or ord(character) in _TAGS
        or unicodedata.category(character) == "Zs"
    )
