"""Whisper's tokens: the prompt before a window, and token sequences cut into words.

The vocabulary is ``tokenizer.json`` beside the model, read by the package ``tokenizers``. Prompt and word rules are
OpenAI's (github.com/openai/whisper, ``tokenizer.py`` and ``decoding.py``, MIT).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from transcription.engines.base import configuration_error
from transcription.segments import written_without_blanks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CONTEXT_TOKENS = 120
"""Of the text before, at most so many tokens are told: half of the decoder's 448 is for prompts."""
VOCABULARY_TOKENS = 100
_BROKEN = "\ufffd"
CLOSING = frozenset("\"'.。,，!！?？:：”)]}、;；」』）…")
"""Marks that take no time at the end of a word."""


class WordTokens(NamedTuple):
    """A word of the model's answer: ``text`` with its leading blank, if it has one; ``length``: how many tokens make
    it, ``spoken`` of which are no closing marks."""

    text: str
    length: int
    spoken: int


class Tokens:
    """ProviderError (permanent) where ``tokenizer.json`` is missing, damaged or of another model."""

    def __init__(self, folder: Path, engine: str) -> None:
        import tokenizers

        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:  # the package raises Exception itself
            raise configuration_error(engine, f"tokenizer.json in {folder.name!r} cannot be read: {error}") from error
        found = [self.language(name) for name in _SPECIAL]
        special = [number for number in found if number is not None]
        if len(special) < len(_SPECIAL):
            raise configuration_error(engine, f"tokenizer.json in {folder.name!r} is not of a Whisper model")
        self.end, self._start, self._before, self._transcribe, self._no_times = special

    def language(self, code: str) -> int | None:
        """The token of a language; None where the model does not know it."""
        number = self._tokenizer.token_to_id(f"<|{code}|>")
        return None if number is None else int(number)

    def opening(self, language: str | None) -> list[int]:
        """What every window's answer begins with. ``language`` None: a model of English alone, which has no tokens
        of languages and tasks."""
        number = self.language(language) if language is not None else None
        return [self._start] if number is None else [self._start, number, self._transcribe]

    def prompt(self, language: str | None, *, vocabulary: str = "", context: Sequence[int] = ()) -> list[int]:
        """Return the tokens before an answer. ``vocabulary`` (words to favour) and ``context`` (the tokens before) are
        told as what was said before."""
        told = self.encode(f" {vocabulary}")[:VOCABULARY_TOKENS] if vocabulary else []
        told += list(context[-CONTEXT_TOKENS:])
        before = [self._before, *told] if told else []
        return [*before, *self.opening(language), self._no_times]

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode([token for token in tokens if token < self.end]))

    def words(self, tokens: Sequence[int]) -> list[WordTokens]:
        """Return ``tokens`` (text only) cut at blanks; at characters in writing that has none. Marks belong to the word
        before them: "$4,000." is one word."""
        found: list[WordTokens] = []
        for text, length in self._characters(tokens):
            closing = all(mark in CLOSING for mark in text.strip())
            apart = text.startswith(" ") or (
                not closing and found and any(map(written_without_blanks, (text, found[-1].text[-1:])))
            )
            if not found or apart:
                found.append(WordTokens(text, length, length))
                continue
            last = found[-1]
            spoken = last.spoken if closing else last.length + length
            found[-1] = WordTokens(last.text + text, last.length + length, spoken)
        return found

    def _characters(self, tokens: Sequence[int]) -> list[tuple[str, int]]:
        """The shortest runs of tokens that are whole characters: one character may take several tokens."""
        found: list[tuple[str, int]] = []
        waiting: list[int] = []
        for token in tokens:
            waiting.append(token)
            text = self.text(waiting)
            if _BROKEN not in text or len(waiting) > 4:  # no character is longer: it is broken in the answer itself
                found.append((text, len(waiting)))
                waiting = []
        if waiting:
            found.append((self.text(waiting), len(waiting)))
        return found


_SPECIAL = ("endoftext", "startoftranscript", "startofprev", "transcribe", "notimestamps")
