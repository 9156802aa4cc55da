"""Cutting a conversation so that each part fits a model's context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from omi.core.batches import batches


def token_estimate(text: str) -> int:
    """At least as many as a tokenizer finds, nearly: a third of the UTF-8 bytes (English needs a quarter)."""
    return len(text.encode("utf-8", "replace")) // 3 + 1


def pieces(text: str, budget: int) -> Iterator[str]:
    """Parts of at most ``budget`` estimated tokens, cut between turns, or between words in an endless turn."""
    return ("\n\n".join(turns) for turns in groups(_turns(text, budget), budget))


def groups(notes: Iterable[str], budget: int) -> Iterator[list[str]]:
    """Runs of notes that fit one question together; a note is never cut."""
    return batches(notes, budget, lambda note: token_estimate(note) + 1)


def _turns(text: str, budget: int) -> Iterator[str]:
    for turn in text.split("\n\n"):
        if token_estimate(turn) <= budget // 2:
            yield turn
            continue
        yield from _by_words(turn, budget // 2)


def _by_words(turn: str, budget: int) -> Iterator[str]:
    who, colon, said = turn.partition(": ")
    lead = who + colon if said else ""
    said = said or turn
    kept: list[str] = []
    size = 0
    for word in _short_words(said.split(), budget):
        cost = token_estimate(word)
        if kept and size + cost > budget:
            yield lead + " ".join(kept)
            kept, size = [], 0
        kept.append(word)
        size += cost
    if kept:
        yield lead + " ".join(kept)


def _short_words(words: Sequence[str], budget: int) -> Iterator[str]:
    """Languages without blanks have words of a whole page."""
    room = max(1, budget // 2)
    for word in words:
        for at in range(0, len(word), room):
            yield word[at : at + room]
