"""A user's vocabulary: what the user wrote, and what was learned from corrections, in one list that every vendor which
takes one, and the engine on this machine, is given.

It is kept in the user's document, so that export and erasure have it, and every store. ``version`` names its content:
a transcript says which version it was made with.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, Field

from memories.wording import composed
from omi.accounts.erased import Fence
from omi.accounts.users import UserDoc, get_user, no_fence, update_user, vocabulary_version

MOST_TERMS = 100
"""As many as a live session hands on (``transcription.listen.authentication.MAX_VOCABULARY``)."""
LONGEST = 60
"""Characters of a term: a longer one is no name."""
LEARNED = "vocabulary_learned"
"""The field with the terms of the list that were learned."""


class Vocabulary(BaseModel):
    """The words that recognition is told of the user. ``learned``: those of ``terms`` that came from corrections.
    ``version``: "" where there are no terms."""

    terms: list[str] = Field(default_factory=list)
    learned: list[str] = Field(default_factory=list)
    version: str = ""


class TooManyTerms(Exception):
    """The list would be longer than ``MOST_TERMS``."""


def of(uid: str) -> Vocabulary:
    """The user's vocabulary; empty where there is none."""
    return _read(get_user(uid))


def cleaned(terms: Sequence[str]) -> list[str]:
    """Return the terms without doubled ones (case does not count) and surrounding blanks, cut to ``LONGEST``."""
    found: dict[str, str] = {}
    for term in terms:
        plain = " ".join(composed(term).split())[:LONGEST].strip()
        if plain:
            found.setdefault(plain.casefold(), plain)
    return list(found.values())


def put(uid: str, terms: Sequence[str], *, fence: Fence = no_fence) -> Vocabulary:
    """Replace the list. What was learned and is no longer in it was taken out by the user. Raises TooManyTerms and what
    ``fence`` raises."""
    wanted = cleaned(terms)
    if len(wanted) > MOST_TERMS:
        raise TooManyTerms
    kept = {term.casefold() for term in wanted}
    learned = [term for term in of(uid).learned if term.casefold() in kept]
    return _write(uid, wanted, learned, fence)


def learn(uid: str, terms: Sequence[str], *, fence: Fence = no_fence) -> Vocabulary:
    """Add learned terms behind the user's own; what does not fit is left out."""
    now = of(uid)
    known = {term.casefold() for term in now.terms}
    new = [term for term in cleaned(terms) if term.casefold() not in known][: MOST_TERMS - len(now.terms)]
    return _write(uid, [*now.terms, *new], [*now.learned, *new], fence) if new else now


def unlearn(uid: str, terms: Sequence[str], *, fence: Fence = no_fence) -> Vocabulary:
    """Take learned terms out again; what the user wrote stays."""
    now = of(uid)
    doomed = {term.casefold() for term in terms} & {term.casefold() for term in now.learned}
    left = [[term for term in terms if term.casefold() not in doomed] for terms in (now.terms, now.learned)]
    return _write(uid, left[0], left[1], fence) if doomed else now


def _read(user: UserDoc) -> Vocabulary:
    learned = (user.model_extra or {}).get(LEARNED)
    terms = cleaned(user.vocabulary)
    known = {term.casefold() for term in terms}
    mine = [term for term in learned if str(term).casefold() in known] if isinstance(learned, list) else []
    return Vocabulary(terms=terms, learned=mine, version=vocabulary_version(terms))


def _write(uid: str, terms: list[str], learned: list[str], fence: Fence) -> Vocabulary:
    return _read(update_user(uid, fence=fence, **{"vocabulary": terms, LEARNED: learned}))
