"""A form's page carries a token; the first POST with it may do what the form says, every other one is told so.

The token is signed, is good for ``LIFETIME``, and names what it was made for: another user, memory or action, or one
that has changed since the page was made, does not get through with it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone

from memories.submissions.models import Submission
from omi.core.pruning import delete_in_pieces

LIFETIME: Final = timedelta(hours=1)
KEPT: Final = timedelta(days=2)
_SALT: Final = "memories.submissions"


class Stale(Exception):
    """The page is too old, was made for something else, or what it showed has changed: it has to be looked at again."""


class SubmittedBefore(Exception):
    """The form was submitted before. ``answer``: what came of it, "" while that is still being done."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do what the form says, once."""

    key: str

    def done(self, answer: str) -> None:
        Submission.objects.filter(pk=self.key).update(answer=answer[:400])

    def undone(self) -> None:
        """Take the claim back, as nothing was done: the same page may be submitted again."""
        Submission.objects.filter(pk=self.key).delete()


def token(purpose: str, seen: str) -> str:
    """Return a signed token for one display of a form. ``purpose``: who may do what to which object; ``seen``: a short
    text that changes with what the page shows."""
    return signing.dumps([secrets.token_hex(16), purpose, seen], salt=_SALT)


def claim(given: str, purpose: str, seen: str) -> Claim:
    """Take the form's one turn. Raises Stale and SubmittedBefore."""
    try:
        key, made_for, showed = signing.loads(given, salt=_SALT, max_age=LIFETIME)
    except (signing.BadSignature, ValueError, TypeError) as error:
        raise Stale("This page is too old.") from error
    if made_for != purpose:
        raise Stale("This page was made for something else.")
    before = Submission.objects.filter(pk=key).first()
    if before is not None:
        raise SubmittedBefore(before.answer)
    if showed != seen:
        raise Stale("What this page showed has changed meanwhile.")
    try:
        with transaction.atomic():
            Submission.objects.create(pk=key)
    except IntegrityError as error:
        raise SubmittedBefore("") from error
    return Claim(key)


def prune() -> int:
    """Delete rows whose tokens have long been void; how many."""
    return delete_in_pieces(Submission.objects.filter(at__lt=timezone.now() - KEPT))
