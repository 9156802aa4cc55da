"""Text is brought into the form in which words are compared: Whisper's rules for English, Unicode's for all others.

jiwer and Whisper's normalizer are no runtime dependencies: requirements-evaluation.txt has them.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

from memories.wording import composed
from transcription.segments import written_without_blanks


class MissingLibrary(Exception):
    """A library of requirements-evaluation.txt is not installed; the message says how to get it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is not installed. An evaluation needs libraries that a server does not: "
            "pip install -r requirements-evaluation.txt -c constraints.txt"
        )


@cache
def _english() -> Any:
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise MissingLibrary("whisper-normalizer") from error
    return EnglishTextNormalizer()


def normalised(text: str, language: str) -> str:
    """Return ``text`` as it is compared: words apart by one blank, without case and punctuation.

    Whisper's normalizer also evens out English numbers, contractions and spellings; it has no rules for another
    language. Of a writing without blanks every character is a word.
    """
    if language.split("-")[0].lower() == "en":
        return str(_english()(text))
    letters = [
        " " if unicodedata.category(letter)[0] in "PSZC" else letter for letter in composed(text, "NFKC").casefold()
    ]
    words = "".join(letters).split()
    return " ".join(" ".join(word) if written_without_blanks(word) else word for word in words)
