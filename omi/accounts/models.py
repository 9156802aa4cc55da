"""What must be remembered of an account that is gone: that it is gone, without saying whose it was."""

from __future__ import annotations

import hashlib

from django.db import models
from django.utils import timezone


def uid_digest(uid: str) -> str:
    """The row proves an erasure to who knows the uid. Not keyed with ``SECRET_KEY``: that is changed now and then, and
    a fence must stand as long as there may be tokens and late writers (docs/decisions/0015)."""
    return hashlib.blake2b(uid.encode(), person=b"omi-erased-uid", digest_size=16).hexdigest()


class ErasedAccount(models.Model):
    """A write fence: tokens issued before ``erased_at`` are refused, so that an open app cannot bring data back."""

    digest = models.CharField(max_length=32, unique=True)
    erased_at = models.DateTimeField(default=timezone.now)
    receipt = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.digest} {self.erased_at:%Y-%m-%d}"


class SignOut(models.Model):
    """Tokens of this user that were issued until ``at`` are refused (``omi.accounts.revocation``)."""

    uid = models.CharField(max_length=128, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.uid} {self.at:%Y-%m-%d %H:%M}"
