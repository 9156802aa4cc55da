"""Which of the languages a talk is read in.

Each is compiled when it is first met: the patterns of one take a tenth of a second, and a web process meets none.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module

from memories.structuring.tongues.base import Tongue
from memories.structuring.tongues.en import ENGLISH_TONGUE

_NAMES = {"en": "ENGLISH_TONGUE", "de": "GERMAN", "es": "SPANISH", "fr": "FRENCH"}
CODES = tuple(_NAMES)


@cache
def by_code(code: str) -> Tongue:
    """Return the language of a code, which is one of ``CODES``."""
    found: Tongue = getattr(import_module(f"memories.structuring.tongues.{code}"), _NAMES[code])
    return found


def tongue_of(language: str | None, written: str | None) -> Tongue:
    """Return the language in which a talk is read. ``written``: what the text looks like, which counts for more than
    what was expected to be spoken. A talk in any other language is read as English: nothing is found in it, rather than
    something wrong."""
    for code in (written, language):
        known = (code or "").casefold()[:2]
        if known in CODES:
            return by_code(known)
    return ENGLISH_TONGUE
