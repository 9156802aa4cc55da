"""Which of the languages a talk is read in."""

from __future__ import annotations

from memories.structuring.tongues.base import Tongue
from memories.structuring.tongues.de import GERMAN
from memories.structuring.tongues.en import ENGLISH_TONGUE
from memories.structuring.tongues.es import SPANISH
from memories.structuring.tongues.fr import FRENCH

TONGUES = {tongue.code: tongue for tongue in (ENGLISH_TONGUE, GERMAN, SPANISH, FRENCH)}


def tongue_of(language: str | None, written: str | None) -> Tongue:
    """``written``: what the text looks like, which counts for more than what was expected to be spoken. A talk in any
    other language is read as English: nothing is found in it, rather than something wrong."""
    for code in (written, language):
        found = TONGUES.get((code or "").casefold()[:2])
        if found is not None:
            return found
    return ENGLISH_TONGUE
